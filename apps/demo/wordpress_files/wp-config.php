<?php
// Configuration of a WordPress that lives as long as the process that has started it.
$directory = getenv( 'WORDPRESS_DIRECTORY' );

// What a file of its owner sets first, stays.
if ( getenv( 'WORDPRESS_BEFORE' ) ) {
	require getenv( 'WORDPRESS_BEFORE' );
}

define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', 'root' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:' . $directory . '/database.sock' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
$table_prefix = 'wp_';

define( 'WP_HOME', getenv( 'WORDPRESS_URL' ) );
define( 'WP_SITEURL', getenv( 'WORDPRESS_URL' ) );
define( 'WP_CONTENT_DIR', $directory . '/site/wp-content' );
// Without TLS, application passwords work in this kind of environment only.
defined( 'WP_ENVIRONMENT_TYPE' ) || define( 'WP_ENVIRONMENT_TYPE', 'local' );
define( 'WP_DEBUG', false );
// Scheduled posts go out when wp-cron.php is asked for, not by chance.
define( 'DISABLE_WP_CRON', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'FS_METHOD', 'direct' );
foreach ( array( 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ) as $purpose ) {
	define( $purpose . '_KEY', $purpose . getenv( 'WORDPRESS_SECRET' ) );
	define( $purpose . '_SALT', getenv( 'WORDPRESS_SECRET' ) . $purpose );
}

require_once ABSPATH . 'wp-settings.php';
