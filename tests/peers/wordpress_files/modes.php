<?php
// A request may ask for another kind of site with the header X-Peer-Modes, a list with commas:
// `production` (no application passwords without TLS), `no-trash`, and those of newsroom.php.
function peer_mode( $name ) {
	return in_array( $name, explode( ',', $_SERVER['HTTP_X_PEER_MODES'] ?? '' ), true );
}

if ( peer_mode( 'production' ) ) {
	define( 'WP_ENVIRONMENT_TYPE', 'production' );
}
if ( peer_mode( 'no-trash' ) ) {
	define( 'EMPTY_TRASH_DAYS', 0 );
}
