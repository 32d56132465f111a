<?php
// Runs before every script: the packaged one would look for its configuration in /etc.
defined( 'ABSPATH' ) || define( 'ABSPATH', getenv( 'WORDPRESS_DIRECTORY' ) . '/site/' );
// wp-cron.php loads WordPress itself only where nobody has said where that is.
if ( 'wp-cron.php' === basename( $_SERVER['SCRIPT_FILENAME'] ?? '' ) ) {
	require_once ABSPATH . 'wp-load.php';
}
