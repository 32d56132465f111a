<?php
// Install WordPress, make a user for each role, print their application passwords as JSON.
define( 'WP_INSTALLING', true );
require getenv( 'WORDPRESS_DIRECTORY' ) . '/site/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

// Who installs is told by mail otherwise.
function wp_new_blog_notification( $title, $url, $user, $password ) {}

$password = getenv( 'WORDPRESS_PASSWORD' );
wp_install( getenv( 'WORDPRESS_TITLE' ), 'administrator', 'administrator@example.com', true, '', $password );
update_option( 'permalink_structure', '/%year%/%monthnum%/%postname%/' );
$users = array();
foreach ( array( 'administrator', 'editor', 'author', 'contributor', 'subscriber' ) as $name ) {
	$id = username_exists( $name );
	if ( ! $id ) {
		$id = wp_create_user( $name, $password, $name . '@example.com' );
	}
	( new WP_User( $id ) )->set_role( $name );
	$made           = WP_Application_Passwords::create_new_application_password( $id, array( 'name' => 'wiredesk' ) );
	$users[ $name ] = array( 'id' => $id, 'password' => $made[0] );
}
global $wp_rewrite;
$wp_rewrite->init();
$wp_rewrite->flush_rules( false );
echo wp_json_encode( array( 'version' => get_bloginfo( 'version' ), 'users' => $users ) );
