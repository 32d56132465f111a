"""The delivery engine: lanes, whatever is done in them.

A lane is a line of work towards one receiver: a destination of a subscriber, a CMS site. Its
document says when something is due there (`wake_at`), who serves it (lease, token), how its
receiver does (`breaker`, `health`, `failing`) and whether it rests (`paused`). The work itself is
documents of another collection, which each name their lane.

A kind of lanes (`LaneKind`) names both collections and its limits. It brings a `LaneServer`, which
is handed one leased lane and returns a `LaneOutcome`, and a `LaneRun`, which finds what is due,
leases it, keeps the leases alive, calls the server in several threads, and gives the lanes back:

    kind = LaneKind(name="sites", lanes=..., work=..., in_progress={...}, waiting={...}, ...)

    class SiteServer(LaneServer):
        def serve(self, lane: Lane) -> LaneOutcome: ...

    run = LaneRun(db, clock, kind, lambda context: SiteServer(context, ...))
    run.run()                       # in a Celery task of the kind's own queue

What a server does with a lane:

- it takes up to `lane.limit(n)` pieces of work, marks them with `context.claims.fields(lane, now)`,
  and names `claim_token: lane.token` in every later write of them: whoever has lost the lease
  changes nothing. `claims.rise_above(lane, work)` tells that work knows a later lease. Or it
  notes the whole batch on the lane (`context.claims.note`, `apps/lanes/sending.py`) and writes each
  piece once, when it is done;
- it asks `context.may_continue(lane)` before it starts anything;
- it calls `lane.breaker.record(answered=...)` after each attempt at the receiver, but not for what
  says nothing of it (wrong credentials, a rate limit, a fault of the work). It starts nothing more
  once `lane.breaker.circuit` is not `CLOSED`; where it was `HALF_OPEN` to begin with, one
  thing is the probe. Where it is `OPEN`, the server does only what cannot wait, one thing, and
  `more` and `next_due` speak of such things only;
- it may keep count of what gets through and what does not by `lane.health`: whether administrators
  are to be told that the receiver fails (`is_to_be_told`), and whether it is hopeless
  (`is_hopeless`), which the server answers with a pause;
- `RetryPolicy.after_failure` says when to try again or to give up: `counts=False` for failures that
  use up no try, `due_at` for waits that the caller knows better;
- `noted` and `attempt_note` keep the attempts; `unknown_outcomes` counts deaths, and whoever gets a
  clear answer about the work sets the count to 0. `MAX_UNKNOWN` of them end it;
- a lane that was left by a process that died is `lane.orphaned`: work in progress under an older
  token is to be taken over first;
- `outcome.pause = Pause(reason, until)` lets nothing be done in the lane until then, whatever
  comes; without `until` until `resume`, which whoever changes the credentials calls. Others pause a
  lane by `pause(db[kind.lanes], lane_id, Pause(reason))`;
- `settle` takes over what a process left in a lane that is paused.

Work is stored first, then its lane is woken: `wake(db[kind.lanes], {lane_id: urgent}, due_at)`.
"""

from apps.lanes.breaker import Breaker, BreakerPolicy, Circuit
from apps.lanes.claims import Lane, LaneClaims, LaneOutcome, Pause, pause_of
from apps.lanes.failures import Event, FailureReports, Receiver, ReportTexts
from apps.lanes.health import Health, HealthPolicy
from apps.lanes.kind import LaneKind
from apps.lanes.recovery import LostLanes
from apps.lanes.retries import (
    MAX_UNKNOWN,
    UNKNOWN,
    NextTry,
    RetryPolicy,
    attempt_note,
    has_unknown_outcome,
    noted,
    unknown_outcomes,
)
from apps.lanes.run import LaneRun, RunContext
from apps.lanes.sending import Noted, Sending, all_sending, kept_back, sending_of, token_of
from apps.lanes.waking import pause, resume, wake
from apps.lanes.worker import LaneServer

__all__ = [
    "MAX_UNKNOWN",
    "UNKNOWN",
    "Breaker",
    "BreakerPolicy",
    "Circuit",
    "Event",
    "FailureReports",
    "Health",
    "HealthPolicy",
    "Lane",
    "LaneClaims",
    "LaneKind",
    "LaneOutcome",
    "LaneRun",
    "LaneServer",
    "LostLanes",
    "NextTry",
    "Noted",
    "Pause",
    "Receiver",
    "ReportTexts",
    "RetryPolicy",
    "RunContext",
    "Sending",
    "all_sending",
    "attempt_note",
    "has_unknown_outcome",
    "kept_back",
    "noted",
    "pause",
    "pause_of",
    "resume",
    "sending_of",
    "token_of",
    "unknown_outcomes",
    "wake",
]
