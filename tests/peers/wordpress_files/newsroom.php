<?php
// Must-use plugin: a custom type with a taxonomy of its own, and kinds of sites on request.
add_action(
	'init',
	function () {
		register_taxonomy(
			'desk',
			'press_release',
			array(
				'label'        => 'Desks',
				'hierarchical' => true,
				'show_in_rest' => true,
				'rest_base'    => 'desks',
			)
		);
		register_post_type(
			'press_release',
			array(
				'label'           => 'Press releases',
				'public'          => true,
				'show_in_rest'    => true,
				'rest_base'       => 'press-releases',
				'capability_type' => array( 'press_release', 'press_releases' ),
				'map_meta_cap'    => true,
				'rewrite'         => array( 'slug' => 'press' ),
				'supports'        => array( 'title', 'editor', 'excerpt', 'author', 'thumbnail' ),
				'taxonomies'      => array( 'desk' ),
			)
		);
	}
);
add_action(
	'wp_install',
	function () {
		foreach ( array( 'administrator', 'editor' ) as $name ) {
			$role = get_role( $name );
			foreach ( get_post_type_object( 'press_release' )->cap as $capability ) {
				$role->add_cap( $capability );
			}
		}
	}
);
// Links such as /?p=12; the REST API is at /?rest_route= alone.
if ( peer_mode( 'plain' ) ) {
	add_filter( 'pre_option_permalink_structure', '__return_empty_string' );
	add_filter(
		'pre_option_rewrite_rules',
		function () {
			// One that fits nothing: with none at all they are made anew and stored, for all requests.
			return array( '^$^' => 'index.php' );
		}
	);
}
// A plugin that asks early who the user is: wrong passwords are told with codes of their own.
if ( peer_mode( 'early-user' ) ) {
	add_filter(
		'rest_authentication_errors',
		function ( $errors ) {
			wp_get_current_user();
			return $errors;
		}
	);
}
// A security plugin that closes the REST API.
if ( peer_mode( 'rest-off' ) ) {
	add_filter(
		'rest_authentication_errors',
		function () {
			return new WP_Error( 'rest_disabled', 'The REST API is off.', array( 'status' => 403 ) );
		},
		1000
	);
}
// The REST API for users who are logged in alone, as WordPress' handbook has it.
if ( peer_mode( 'members-only' ) ) {
	add_filter(
		'rest_authentication_errors',
		function ( $errors ) {
			if ( ! empty( $errors ) || is_user_logged_in() ) {
				return $errors;
			}
			return new WP_Error( 'rest_not_logged_in', 'Log in.', array( 'status' => 401 ) );
		}
	);
}
// A plugin that removes the REST API.
if ( peer_mode( 'rest-gone' ) ) {
	add_filter(
		'rest_authentication_errors',
		function () {
			return new WP_Error( 'rest_disabled', 'There is none.', array( 'status' => 404 ) );
		},
		1000
	);
}
// A plugin that removes comments from stored text.
if ( peer_mode( 'no-comments' ) ) {
	add_filter(
		'content_save_pre',
		function ( $content ) {
			return preg_replace( '/<!--.*?-->/s', '', $content );
		}
	);
}
// A site without room for uploads.
if ( peer_mode( 'full' ) ) {
	add_filter(
		'wp_handle_upload_prefilter',
		function ( $file ) {
			$file['error'] = 'No space left.';
			return $file;
		}
	);
}
