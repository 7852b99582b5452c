"""The 42 points of the console's specification, and what checks each: tests, or why there is none.

A test is named by its module and its function; `tests/web/test_acceptance.py` looks for each.
"""

from typing import Final

POINTS: Final[dict[int, tuple[str, ...]]] = {
    1: ("tests.journeys.test_distribution", "the wheel has the console; it needs no build"),
    2: (
        (
            "tests.api.http.test_console"
            "::test_each_path_of_the_console_answers_its_page_under_the_policy"
        ),
    ),
    3: ("tests.web.conftest::page",),
    4: ("tests.api.http.test_console::test_what_is_not_there_is_a_problem_and_not_the_page",),
    5: (
        "tests.api.http.test_console::test_a_file_may_be_kept_for_ever",
        "tests.api.http.test_console::test_a_changed_file_changes_the_address_of_all",
    ),
    6: (
        "tests.web.test_files::test_the_javascript_of_the_first_view_keeps_to_its_budget",
        "tests.web.test_files::test_the_javascript_without_viewers_keeps_to_its_budget",
        "tests.web.test_files::test_all_styles_keep_to_their_budget",
        "tests.web.test_files::test_the_fonts_and_the_page_keep_to_their_budgets",
    ),
    7: ("tests.web.test_files::test_one_changed_byte_is_found",),
    8: (
        "tests.web.test_types::test_the_modules_have_the_types_that_they_say",
        "tests.web.test_types::test_a_misspelt_property_is_found",
        "`make lint` runs tsc and Biome where npm is there",
    ),
    9: (
        "tests.web.test_layout::test_a_link_gives_the_same_view_in_a_new_tab",
        "tests.web.test_gallery::test_the_place_in_the_list_is_there_in_a_new_tab",
    ),
    10: (
        "tests.web.test_gallery::test_back_and_forward_restore_filters_and_panel",
        (
            "tests.web.test_gallery"
            "::test_the_place_in_the_list_is_there_after_a_visit_to_another_screen"
        ),
        ("tests.web.test_layout::test_escape_goes_back_to_the_filters_and_the_place_in_the_list"),
    ),
    11: ("tests.web.test_gallery::test_chips_give_the_assets_that_the_api_gives",),
    12: ("tests.web.test_gallery::test_a_suggestion_becomes_a_chip_by_enter",),
    13: (
        "tests.web.test_gallery::test_end_and_home_land_on_the_oldest_and_the_newest",
        "benchmarks/console.py measures the budgets: speed is never asserted in a test",
    ),
    14: ("tests.web.test_gallery::test_the_time_rail_jumps_to_a_day_that_is_not_loaded",),
    15: ("tests.web.test_gallery::test_news_wait_behind_their_number_and_move_nothing",),
    16: (
        "tests.web.test_gallery::test_three_assets_are_downloaded_deleted_and_restored",
        "tests.web.test_gallery::test_a_refused_download_is_shown_on_the_page",
    ),
    17: (
        "tests.web.test_use::test_a_waveform_is_measured_by_the_server_or_else_by_the_browser",
        "tests.web.test_previews::test_each_kind_of_content_has_its_preview",
        "tests.web.test_previews::test_a_broken_file_offers_its_download",
    ),
    18: (
        "tests.web.test_previews::test_zoom_keeps_the_point_under_the_pointer",
        "tests.web.test_previews::test_keys_zoom_a_picture_and_fit_it_again",
    ),
    19: (
        "tests.web.test_previews::test_json_folds",
        "tests.web.test_previews::test_a_text_of_50_mb_opens_with_its_first_lines",
    ),
    20: (
        "tests.web.test_screens::test_an_asset_is_sealed_and_shows_its_versions",
        "tests.web.test_previews::test_two_pictures_are_compared_by_a_slider",
    ),
    21: (
        "tests.web.test_screens::test_a_proof_that_was_changed_on_its_way_is_red_with_the_step",
        "tests.web.test_seal::test_other_bytes_under_a_true_asset_are_red",
        "tests.web.test_units::test_a_changed_byte_names_the_step_that_does_not_hold",
    ),
    22: ("tests.web.test_screens::test_a_ledger_in_the_place_of_another_is_named",),
    23: ("tests.web.test_trouble::test_a_rotated_key_is_followed_and_named",),
    24: ("tests.web.test_trouble::test_without_the_scope_audit_there_is_a_reason_and_no_seal",),
    25: ("tests.web.test_units::test_the_state_at_every_event_is_what_the_api_answers",),
    26: (
        "tests.web.test_replay::test_keys_buttons_and_the_address_agree_on_the_position",
        "tests.web.test_replay::test_a_drag_of_the_scrubber_moves_the_position",
        "tests.web.test_replay::test_play_goes_on_to_the_end_and_pause_stops_it",
    ),
    27: ("tests.web.test_units::test_a_running_job_grows_while_it_is_watched",),
    28: (
        "tests.web.test_screens::test_a_comparison_counts_as_the_api_does",
        "tests.web.test_use::test_a_row_of_a_comparison_opens_what_differs",
    ),
    29: ("tests.web.test_trouble::test_the_audit_bundle_is_downloaded_and_its_verifier_holds",),
    30: (
        "tests.web.test_usage::test_usage_has_the_numbers_of_the_api",
        "tests.web.test_usage::test_usage_is_saved_as_csv_that_runs_no_formula",
    ),
    31: (
        "tests.web.test_trouble::test_a_rebuild_is_watched_to_its_new_generation",
        "tests.web.test_gallery::test_a_rebuild_shows_its_steps_and_reads_go_on_meanwhile",
    ),
    32: ("tests.web.test_live::test_a_lost_stream_is_resumed_with_each_event_once",),
    33: ("tests.web.test_live::test_ten_tabs_load_and_all_of_them_see_a_new_event",),
    34: (
        "tests.web.test_use::test_a_dropped_folder_becomes_folders_with_its_files",
        (
            "tests.web.test_trouble"
            "::test_200_files_are_recorded_once_each_though_the_server_is_killed_meanwhile"
        ),
        "tests.web.test_use::test_leaving_the_page_asks_first_while_uploads_are_under_way",
    ),
    35: (
        "tests.web.test_trouble::test_a_revoked_token_asks_for_another_and_shows_the_same_view",
        "tests.web.test_screens::test_a_token_signs_in_to_the_view_that_was_asked_for",
    ),
    36: (
        (
            "tests.web.test_refused"
            "::test_a_refused_request_is_shown_with_its_id_and_can_be_tried_again"
        ),
        "tests.web.test_refused::test_a_refusal_beside_what_was_done_has_its_request_id",
        "tests.web.test_refused::test_a_detail_of_the_server_is_shown_in_its_words",
    ),
    37: (
        "tests.web.test_accessibility",
        "tests.web.test_contrast",
    ),
    38: (
        "tests.web.test_layout::test_two_keys_lead_to_each_screen",
        "tests.web.test_layout::test_jump_finds_a_job_and_gives_the_focus_back",
        "tests.web.test_layout::test_an_asset_is_opened_read_and_left_by_keyboard_alone",
        "tests.web.test_layout::test_tab_reaches_what_can_be_used_and_shows_where_it_is",
    ),
    39: (
        "tests.web.test_layout::test_no_screen_scrolls_sideways",
        "tests.web.test_layout::test_at_400_percent_zoom_the_panel_is_a_page_of_its_own",
        "tests.web.test_layout::test_each_screen_is_there_under_other_preferences",
        "tests.web.test_replay::test_with_reduced_motion_space_steps",
    ),
    40: (
        "tests.web.test_previews::test_an_odd_file_neither_runs_nor_stops_the_page",
        "tests.web.test_previews::test_a_content_that_is_opened_itself_runs_nothing",
        "tests.web.test_hostile::test_names_are_text_on_every_screen",
        "tests.web.test_hostile::test_a_name_is_read_in_full",
        "tests.web.test_hostile::test_ids_and_errors_of_jobs_are_texts_on_every_screen",
    ),
    41: (
        "tests.web.test_trouble::test_the_command_of_an_empty_ledger_makes_its_first_asset_appear",
        (
            "tests.web.test_trouble"
            "::test_the_commands_of_an_empty_ledger_take_the_token_from_the_environment"
        ),
    ),
    42: (
        (
            "no pixels are compared: fonts and Chromium versions differ between machines;"
            " `tools/pictures.py --every` takes each screen, which people compare by eye"
        ),
    ),
}
