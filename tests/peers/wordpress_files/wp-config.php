<?php
// Configuration of a WordPress that lives as long as a test session.
//
// A request may ask for another kind of site with the header X-Peer-Modes, a list with commas:
// `production` (no application passwords without TLS), `no-trash`, and those of newsroom.php.
$directory = getenv( 'PEER_DIRECTORY' );

function peer_mode( $name ) {
	return in_array( $name, explode( ',', $_SERVER['HTTP_X_PEER_MODES'] ?? '' ), true );
}

define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', 'root' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:' . $directory . '/database.sock' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
$table_prefix = 'wp_';

define( 'WP_HOME', getenv( 'PEER_URL' ) );
define( 'WP_SITEURL', getenv( 'PEER_URL' ) );
define( 'WP_CONTENT_DIR', $directory . '/site/wp-content' );
define( 'WP_ENVIRONMENT_TYPE', peer_mode( 'production' ) ? 'production' : 'local' );
define( 'WP_DEBUG', false );
// Scheduled posts go out when wp-cron.php is asked for, not by chance.
define( 'DISABLE_WP_CRON', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'FS_METHOD', 'direct' );
if ( peer_mode( 'no-trash' ) ) {
	define( 'EMPTY_TRASH_DAYS', 0 );
}
foreach ( array( 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ) as $purpose ) {
	define( $purpose . '_KEY', $purpose . ' key of a test' );
	define( $purpose . '_SALT', $purpose . ' salt of a test' );
}

require_once ABSPATH . 'wp-settings.php';
