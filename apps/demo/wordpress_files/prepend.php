<?php
// Runs before every script: the packaged one would look for its configuration in /etc.
defined( 'ABSPATH' ) || define( 'ABSPATH', getenv( 'WORDPRESS_DIRECTORY' ) . '/site/' );
