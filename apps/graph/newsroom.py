"""The part of the object graph that items stand in: people, desks, vocabularies, profiles."""

from dataclasses import dataclass

from apps.archive.schema import ITEM_SCHEMA
from apps.archive.visibility import HiddenItems
from apps.core.service import ResourceService
from apps.graph.foundation import Foundation
from apps.newsroom.activity.service import ActivityService
from apps.newsroom.auth.attempts import LoginAttempts
from apps.newsroom.auth.credentials import Credentials
from apps.newsroom.auth.item_locks import ItemLocks, Unlocker
from apps.newsroom.auth.passwords import Passwords
from apps.newsroom.auth.service import AuthService
from apps.newsroom.content_templates.service import ApplyTemplateService, ContentTemplatesService
from apps.newsroom.content_types.service import ContentTypesService
from apps.newsroom.desks.service import DesksService, DeskUsersService, UserDesksService
from apps.newsroom.privileges.service import PrivilegesService
from apps.newsroom.roles.service import RolesService
from apps.newsroom.stages.service import StagesOrderService, StagesService
from apps.newsroom.stages.visibility import StageVisibility
from apps.newsroom.users.change_password import ChangePasswordService
from apps.newsroom.users.service import UsersService
from apps.newsroom.vocabularies.service import VocabulariesService


@dataclass(frozen=True)
class NewsroomServices:
    """Services of the resources around items."""

    auth: AuthService
    users: UsersService
    change_user_password: ChangePasswordService
    roles: RolesService
    privileges: PrivilegesService
    desks: DesksService
    user_desks: UserDesksService
    desk_users: DeskUsersService
    stages: StagesService
    stages_order: StagesOrderService
    vocabularies: VocabulariesService
    content_types: ContentTypesService
    content_templates: ContentTemplatesService
    content_templates_apply: ApplyTemplateService
    activity: ActivityService

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        return {**vars(self), "auth_db": self.auth}


def build_newsroom(base: Foundation, unlocker: Unlocker) -> NewsroomServices:
    """Build the services around items.

    Args:
        unlocker: unlocks items when login sessions end.
    """
    db, clock, notifier, settings = base.db, base.clock, base.notifier, base.settings
    visibility = StageVisibility(db, notifier)
    passwords = Passwords(settings)
    attempts = LoginAttempts.connect(settings["REDIS_URL"], settings)
    credentials = Credentials(db, passwords, attempts, settings)
    auth = AuthService(
        db,
        clock,
        locks=ItemLocks(db, unlocker),
        visibility=visibility,
        credentials=credentials,
        notifier=notifier,
        settings=settings,
    )
    roles = RolesService(db, clock, notifier=notifier)
    stages = StagesService(db, clock, notifier=notifier, visibility=visibility)
    users = UsersService(
        db,
        clock,
        roles=roles,
        sessions=auth,
        visibility=visibility,
        notifier=notifier,
        passwords=passwords,
        settings=settings,
    )
    return NewsroomServices(
        auth=auth,
        users=users,
        change_user_password=ChangePasswordService(db, clock, users=users, credentials=credentials),
        roles=roles,
        privileges=PrivilegesService(db, clock),
        desks=DesksService(
            db,
            clock,
            stages=stages,
            visibility=visibility,
            notifier=notifier,
            settings=settings,
        ),
        user_desks=UserDesksService(db, clock),
        desk_users=DeskUsersService(db, clock),
        stages=stages,
        stages_order=StagesOrderService(db, clock),
        vocabularies=VocabulariesService(
            db, clock, notifier=notifier, item_fields=frozenset(ITEM_SCHEMA)
        ),
        content_types=ContentTypesService(db, clock),
        content_templates=ContentTemplatesService(db, clock, notifier),
        content_templates_apply=ApplyTemplateService(
            db, clock, settings["KILL_TEMPLATE_NULL_FIELDS"], settings["DEFAULT_TIMEZONE"]
        ),
        activity=ActivityService(db, clock, HiddenItems(db)),
    )
