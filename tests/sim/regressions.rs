//! Seeds that broke a law once. The name says what was wrong.

use crate::plan::Plan;
use crate::story;

macro_rules! seeds {
    ($draw:ident, $($name:ident: $seed:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let plan = Plan::$draw($seed);
                if let Err(broken) = story::run(&plan, false).0 {
                    story::tell(&plan, &broken);
                    panic!("seed {} breaks '{}' again", $seed, broken.law);
                }
            }
        )*
    };
}

seeds! {
    draw,
    a_doubled_join_closed_a_working_pipe: 15,
    a_late_join_closed_a_working_pipe: 17,
    reports_of_audio_were_awaited_as_those_of_video: 4,
    a_parent_being_left_took_the_stream_away: 20,
    a_refused_renewal_left_a_pipe_and_a_room_for_ever: 2,
    a_viewer_was_let_in_on_what_was_being_left: 82,
    a_producer_was_sent_in_vain_once_another_parent_had_it: 32,
    a_producer_was_sent_in_vain_after_a_failed_message: 193,
    an_origin_was_put_aside_for_what_it_was_as_a_relay: 56,
    a_process_whose_name_was_taken_hid_the_other: 95,
    a_relay_that_died_while_paused_was_never_given_up: 1074,
    a_dead_edge_kept_a_pipe_of_an_ended_stream: 1285,
    claims_were_asked_for_too_seldom_after_losses: 3026,
    the_monitor_showed_the_dead_one_of_a_name: 2010,
    an_abandoned_attempt_stayed_in_the_picture: 1464,
    a_viewer_was_let_in_on_what_was_no_longer_asked_for: 179,
    a_producer_refused_while_the_edge_was_an_origin_itself_never_came: 1723,
    a_producer_that_was_sent_anew_was_taken_for_the_old_one: 2251,
    a_pipe_of_muted_media_that_never_worked_was_found_too_late: 4354,
    what_was_told_while_the_bus_was_away_was_never_repaired: 6839,
    a_moment_of_deafness_counted_as_the_others_silence: 7032,
    a_producer_that_came_back_by_another_pipe_was_not_sent_on: 10280,
}

// Of these some are fleets whose nodes feed few others.
seeds! {
    draw_narrow,
    two_relays_that_moved_to_each_other_began_again_without_end: 8078,
    what_came_in_part_was_refused_its_rest: 10307,
    what_was_told_in_vain_counted_as_taken: 8162,
    a_dead_child_of_a_muted_stream_kept_a_pipe_for_ever: 3081,
    a_viewer_of_a_paused_stream_was_taken_for_starved: 3889,
    a_new_publication_was_added_to_what_was_left_of_the_former: 4217,
    a_relay_without_a_codec_was_named_alone: 18461,
    a_frozen_parent_took_who_had_left_for_its_child: 2781,
    what_was_too_far_down_was_never_ended: 12296,
    a_join_that_crossed_a_telling_was_compared_too_late: 6131,
    a_refused_producer_of_a_dropped_stream_never_came_back: 3082,
    a_loss_that_was_told_too_early_was_shown_as_life: 3675,
    a_full_parent_was_asked_for_a_pipe_that_it_no_longer_had: 30296,
    what_a_parent_does_not_get_stayed_promised: 32430,
    a_parent_that_came_back_later_was_taken_for_gone: 51429,
    a_child_that_had_left_unheard_kept_its_parent_from_moving: 3681,
    a_late_refusal_counted_for_more_than_what_the_child_said_since: 17540,
}

// And some have participants.
seeds! {
    draw_mixed,
    a_process_was_asked_for_its_claims_too_seldom_after_losses: 1403,
    a_part_of_a_stream_was_never_complete_once_less_of_it_was_wanted: 4587,
    what_a_worker_refused_was_tried_again_without_end: 5401,
    what_came_already_was_refused_when_it_was_told_again: 13836,
    a_process_that_heard_nothing_for_long_was_asked_for_its_claims_too_late: 1149,
    messages_waited_for_ever_at_a_pipe_that_let_none_pass: 1590,
    messages_waited_while_the_media_beside_them_was_muted: 1186,
}
