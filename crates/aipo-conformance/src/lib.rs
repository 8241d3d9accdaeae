//! One suite for every store: each sentence of the contracts in [`aipo_core::store`] is a case here.
//!
//! A crate with a store implements [`Harness`] in its tests and stamps all cases with one line:
//! ```
//! # use aipo_core::{Clock, Store};
//! # mod my_store {
//! #     pub fn store(_: aipo_core::Clock) -> aipo_core::Store { panic!("an example") }
//! # }
//! // tests/it/conformance.rs
//! struct MyStore;
//!
//! impl aipo_conformance::Harness for MyStore {
//!     async fn open(&self, clock: Clock) -> Store {
//!         my_store::store(clock)
//!     }
//!
//!     async fn second(&self, store: &Store, _clock: Clock) -> Store {
//!         store.clone()
//!     }
//! }
//!
//! aipo_conformance::conformance!(MyStore);
//! # fn main() {}
//! ```
//! Each case becomes a named test, `conformance::broker::publish::a_message_arrives_byte_for_byte` for
//! one. A bug found in one store becomes a case for all of them. Tests of its own beside the suite can use the words of
//! [`testing`].
//!
//! # Time
//! Leases, due times and expiries are tested with a clock that the case moves, so no case sleeps
//! until something has run out. Only what ends a *wait* runs on real time, with a guard
//! that fails a case that hangs. No case asserts how long something took.

pub mod fault;
pub mod redis;
mod support;
pub mod testing;

#[expect(missing_docs, reason = "the name of a case says what it is for")]
pub mod broker;
#[expect(missing_docs, reason = "the name of a case says what it is for")]
pub mod bus;
#[expect(missing_docs, reason = "the name of a case says what it is for")]
pub mod chords;
#[expect(missing_docs, reason = "the name of a case says what it is for")]
pub mod results;
#[expect(missing_docs, reason = "the name of a case says what it is for")]
pub mod state;
#[expect(missing_docs, reason = "the name of a case says what it is for")]
pub mod whole;

use aipo_core::{Clock, Store};

/// How the suite gets at a store. One harness serves one case, and may be asked for several stores.
pub trait Harness: Send + Sync {
    /// A store with nothing in it, that tells time by `clock`.
    fn open(&self, clock: Clock) -> impl Future<Output = Store> + Send;

    /// Another handle on the data of `store`, as far from it as the store allows: with a connection
    /// or a file of its own where there is one, as another process would have.
    fn second(&self, store: &Store, clock: Clock) -> impl Future<Output = Store> + Send;
}

/// Stamps every case of the suite as a test. `$harness` is an expression that makes a [`Harness`],
/// evaluated for each case anew. Use it in a module of its own; the crate's tests need
/// `tokio` with the features `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance {
    ($harness:expr $(,)?) => {
        $crate::__stamp_cases! {
            $harness;
            broker {
                publish {
                    a_message_arrives_byte_for_byte,
                    an_empty_message_arrives_empty,
                    a_message_of_a_megabyte_arrives_whole,
                    queues_that_are_missing_are_created,
                    messages_of_one_call_keep_their_order,
                    messages_of_one_call_go_to_their_own_queues,
                    publishing_nothing_changes_nothing,
                    a_dropped_publish_puts_all_or_nothing,
                    a_message_outlives_the_handle_that_sent_it,
                    handles_share_one_line,
                    a_task_may_have_several_messages,
                    any_text_names_a_queue_and_a_task,
                }
                fetch {
                    the_oldest_message_comes_first,
                    as_many_come_as_are_ready_and_asked_for,
                    deliveries_of_a_consumer_have_different_tags,
                    a_fetched_message_is_held_by_one_consumer,
                    a_consumer_takes_from_its_own_queues_only,
                    a_fetch_with_no_time_to_wait_answers_empty,
                    a_fetch_of_none_takes_none,
                    a_dropped_fetch_loses_nothing,
                }
                wait {
                    the_wait_ends_empty_when_its_time_is_over,
                    a_publish_ends_the_wait,
                    a_publish_through_another_handle_ends_the_wait,
                    a_publish_to_another_queue_does_not_end_the_wait,
                    a_publish_to_any_of_its_queues_ends_the_wait,
                    every_waiting_consumer_is_served,
                    a_dropped_wait_takes_no_message_with_it,
                    a_parked_message_that_becomes_due_ends_the_wait,
                    a_message_parked_meanwhile_ends_the_wait_when_due,
                    a_message_parked_again_ends_the_wait_when_due,
                    a_recovery_ends_the_wait,
                    a_message_handed_back_ends_the_wait,
                    a_close_that_hands_back_ends_the_wait,
                    a_follow_up_ends_the_wait,
                    a_redriven_message_ends_the_wait,
                    a_wait_keeps_no_other_call_waiting,
                }
                count {
                    the_first_of_a_fetch_are_counted_as_asked,
                    counting_more_than_come_counts_those_that_come,
                    what_was_started_before_comes_uncounted,
                    a_start_counts_what_it_names,
                    a_start_of_nothing_counts_nothing,
                    a_delivery_is_counted_once_however_often_it_is_started,
                    a_start_of_what_is_not_held_is_refused_whole,
                    each_run_counts_one_more,
                    a_crash_keeps_the_count_of_what_was_started,
                    crash_after_crash_is_counted,
                    a_release_takes_the_counted_start_back,
                    a_release_of_what_was_not_counted_takes_nothing_back,
                    a_close_keeps_the_count,
                }
                settle {
                    an_acked_message_never_returns,
                    a_released_message_goes_to_the_front,
                    messages_released_together_keep_their_order,
                    a_message_handed_back_comes_as_it_was_sent,
                    a_message_handed_back_comes_with_another_tag,
                    the_result_is_stored_with_the_verdict,
                    a_settlement_does_not_replace_a_success,
                    follow_ups_are_published_with_the_verdict,
                    a_retry_takes_the_place_of_its_message,
                    a_message_sent_anew_goes_to_the_end_and_was_never_started,
                    each_settlement_of_a_batch_has_its_answer,
                    a_batch_is_settled_in_order,
                    settling_nothing_answers_nothing,
                    a_delivery_is_settled_once,
                    a_tag_means_nothing_to_another_consumer,
                    a_tag_that_never_was_has_no_effect,
                    a_dropped_settlement_happens_whole_or_not_at_all,
                }
                lease {
                    a_message_stays_with_its_consumer_during_the_lease,
                    messages_of_a_crashed_consumer_return_after_the_lease,
                    messages_return_once,
                    messages_return_to_their_own_queues_at_the_front,
                    recovering_with_nothing_to_recover_answers_none,
                    consumers_that_renew_are_left_alone,
                    one_renewal_covers_everything_in_flight,
                    a_lease_belongs_to_the_consumer_not_to_the_message,
                    each_consumer_has_the_lease_that_it_asked_for,
                    a_lease_may_last_for_ever,
                    a_consumer_whose_lease_ran_out_can_do_nothing,
                    a_consumer_whose_lease_runs_out_while_it_waits_takes_nothing,
                    a_late_settlement_before_recovery_has_no_effect,
                    a_late_settlement_does_not_touch_the_new_holder,
                    a_close_hands_everything_back_at_once,
                    a_close_leaves_other_consumers_alone,
                    a_closed_consumer_can_do_nothing,
                }
                park {
                    a_parked_message_is_fetched_by_nobody,
                    a_parked_message_is_fetched_when_it_is_due,
                    a_message_whose_time_has_come_is_ready_at_once,
                    a_message_may_be_parked_for_ever,
                    parked_messages_come_each_at_its_own_time,
                    parked_messages_come_to_their_own_queues,
                    many_messages_due_at_once_all_come,
                    a_parked_message_keeps_its_priority,
                    a_parked_message_is_told_as_parked_until_it_is_due,
                    a_message_that_was_parked_can_be_handed_back,
                    a_held_message_can_be_parked,
                    parking_takes_the_counted_start_back,
                    a_message_parked_again_keeps_its_priority,
                    parking_until_the_past_hands_back_at_once,
                    a_message_parked_again_outlives_its_consumer,
                    a_message_parked_again_can_be_purged,
                    follow_ups_are_published_when_a_message_is_parked,
                    the_next_parked_message_is_told_first,
                    at_most_limit_parked_messages_come,
                    a_message_that_is_due_is_not_told_as_parked,
                }
                priority {
                    the_most_urgent_message_comes_first,
                    an_urgent_message_passes_those_that_wait,
                    within_a_priority_the_oldest_comes_first,
                    a_priority_beyond_nine_counts_as_nine,
                    priority_comes_before_the_order_of_queues,
                    queues_of_equal_standing_take_turns,
                    a_busy_queue_does_not_starve_a_later_one,
                    a_message_handed_back_keeps_its_priority,
                    a_recovered_message_keeps_its_priority,
                }
                admin {
                    queues_tell_what_they_hold,
                    queues_are_told_by_name,
                    a_queue_exists_from_its_first_consumer_on,
                    a_queue_exists_when_it_is_empty_again,
                    a_purge_deletes_what_is_ready_or_parked,
                    a_purge_leaves_what_is_in_flight_or_dead,
                    a_purge_of_what_is_not_there_deletes_none,
                    a_purged_queue_takes_new_messages,
                    a_message_is_located_wherever_it_is,
                    locating_nothing_finds_nothing,
                    a_living_message_is_told_before_a_dead_one,
                }
                claim {
                    what_waits_of_a_task_is_claimed_wherever_it_is,
                    a_claimed_message_comes_as_it_was_sent,
                    a_claim_takes_nothing_else,
                    what_is_in_flight_or_dead_is_not_claimed,
                    an_acked_claim_never_returns,
                    a_claim_is_settled_whole,
                    a_claim_keeps_the_count,
                    a_claimed_message_can_be_started,
                    a_message_claimed_before_it_is_due_is_parked_when_it_goes_back,
                    a_message_claimed_before_it_is_due_outlives_its_consumer,
                    a_message_that_became_due_meanwhile_is_ready_when_it_goes_back,
                    a_message_parked_again_can_be_claimed,
                    a_message_handed_back_can_be_claimed,
                    claimed_by_two_at_once_it_goes_to_one,
                    a_consumer_whose_lease_ran_out_claims_nothing,
                    many_messages_are_claimed_in_steps,
                }
                dead {
                    a_dead_letter_tells_all_about_its_message,
                    a_dead_letter_is_fetched_by_nobody,
                    an_uncounted_message_can_be_given_up,
                    the_newest_dead_letters_come_first,
                    at_most_limit_dead_letters_come,
                    dead_letters_of_one_queue_come_alone,
                    redriven_messages_return_with_their_count_at_zero,
                    redriven_messages_return_to_their_own_queues,
                    a_redriven_message_goes_to_the_end,
                    redriving_counts_only_what_was_there,
                    discarded_letters_are_gone,
                    living_messages_are_neither_redriven_nor_discarded,
                    a_redriven_message_can_be_given_up_again,
                }
                queues {
                    the_next_fetch_takes_from_the_new_queues,
                    a_queue_exists_from_its_first_setting_on,
                    what_is_in_flight_stays,
                    tags_are_not_used_again,
                    a_fetch_that_waits_keeps_its_queues,
                    a_closed_consumer_takes_nothing_from_earlier_queues,
                    a_consumer_may_have_no_queues,
                    a_queue_named_twice_is_one,
                    other_consumers_keep_their_queues,
                }
                revoked {
                    it_is_zero_while_nothing_was_revoked,
                    a_fetch_learns_the_last_number,
                    a_fetch_that_waited_knows_what_was_revoked_meanwhile,
                    it_does_not_go_down,
                }
                race {
                    each_of_many_messages_is_settled_once,
                    recoveries_at_the_same_time_return_each_message_once,
                    no_wake_up_is_lost_between_the_look_and_the_wait,
                }
            }
            results {
                store {
                    a_stored_result_is_given,
                    a_result_outlives_the_handle_that_stored_it,
                    a_result_that_was_never_stored_is_none,
                    metas_come_in_the_order_of_the_ids,
                    storing_nothing_changes_nothing,
                    a_later_result_replaces_an_earlier,
                    nothing_replaces_a_success,
                    a_success_in_a_batch_holds_nothing_up,
                    a_batch_is_stored_in_order,
                    a_meta_may_be_any_bytes,
                    a_forgotten_result_is_gone,
                    a_forgotten_success_can_be_stored_anew,
                }
                wait {
                    a_result_that_is_there_is_given_at_once,
                    the_wait_ends_empty_when_its_time_is_over,
                    a_ready_state_ends_the_wait,
                    a_result_stored_through_another_handle_ends_the_wait,
                    a_settlement_ends_the_wait,
                    a_state_that_is_not_ready_does_not_end_the_wait,
                    another_tasks_result_does_not_end_the_wait,
                    every_wait_gets_its_own_result,
                    a_dropped_wait_leaves_the_others_waiting,
                    a_result_can_be_waited_for_again,
                }
                expiry {
                    a_result_is_kept_for_its_time,
                    an_expired_result_is_not_given,
                    a_result_without_expiry_is_kept_for_ever,
                    a_later_result_brings_its_own_expiry,
                    a_success_keeps_its_expiry,
                    an_expired_success_can_be_replaced,
                    a_settled_result_expires_like_any_other,
                    a_sweep_deletes_what_has_expired,
                }
            }
            state {
                facts {
                    a_fact_is_told_to_everybody,
                    a_fact_outlives_the_handle_that_set_it,
                    a_put_replaces_whatever_was_there,
                    a_value_may_be_any_bytes,
                    values_come_in_the_order_of_the_keys,
                    a_fact_is_kept_for_its_time,
                    a_fact_with_no_time_to_live_is_not_seen,
                    a_deleted_fact_is_gone,
                    a_scan_tells_keys_and_values_by_key,
                    a_prefix_means_nothing_but_itself,
                    a_sweep_deletes_what_has_expired,
                }
                claims {
                    a_claimed_key_is_taken,
                    a_claim_is_a_fact,
                    of_many_claims_at_once_one_wins,
                    a_claim_lasts_for_its_time,
                    a_claim_whose_time_is_over_can_be_won_again,
                    a_claim_may_last_for_ever,
                    each_claim_has_a_higher_token,
                    a_renewal_sets_the_value_and_the_time,
                    a_claim_that_was_lost_cannot_be_renewed,
                    a_claim_that_was_lost_cannot_be_released,
                    a_released_claim_is_gone,
                    a_fence_of_another_key_opens_nothing,
                    a_put_ends_a_claim,
                    a_delete_ends_a_claim,
                    a_key_that_was_put_is_taken,
                }
                logs {
                    entries_come_in_the_order_of_appending,
                    numbers_grow_and_the_last_is_told,
                    a_reader_goes_on_after_a_number,
                    at_most_limit_entries_come,
                    a_log_is_under_a_name_of_its_own,
                    a_log_is_no_fact,
                    an_entry_may_be_any_bytes,
                    a_log_outlives_the_handle_that_appended,
                    an_entry_is_kept_for_its_time,
                    no_number_is_used_again,
                    appending_nothing_changes_nothing,
                    appends_at_the_same_time_stand_each_together,
                    a_sweep_deletes_entries_that_have_expired,
                }
            }
            chords {
                step {
                    all_of_a_step_happens,
                    what_is_published_is_parked_until_it_is_due,
                    a_fact_is_kept_until_its_time_is_over,
                    a_step_does_not_replace_a_success,
                    a_step_of_nothing_changes_nothing,
                    a_dropped_step_happens_whole_or_not_at_all,
                }
                count {
                    a_chord_is_complete_when_all_its_parts_are_done,
                    a_part_counts_once,
                    a_part_that_counts_once_does_not_complete_twice,
                    parts_may_be_done_before_the_chord_is_opened,
                    parts_come_by_their_places,
                    what_to_do_is_told_by_the_last_part,
                    a_part_that_does_not_know_leaves_what_to_do_to_others,
                    a_chord_that_grows_has_one_part_more,
                    a_chord_may_grow_before_it_is_opened,
                    a_complete_chord_that_grows_is_not_complete,
                    chords_are_counted_apart,
                    handles_count_together,
                    values_come_byte_for_byte,
                    a_part_tells_how_it_ended,
                    any_text_names_a_group_and_a_task,
                    a_structure_comes_as_it_was_opened_with,
                    a_chord_may_have_ten_thousand_parts,
                    parts_counted_at_the_same_time_complete_a_chord_once,
                }
                take {
                    what_was_taken_is_given_to_nobody_else,
                    a_chord_whose_claim_is_over_goes_to_the_next,
                    each_taker_has_the_claim_that_it_asked_for,
                    a_finished_chord_is_not_taken_again,
                    at_most_limit_chords_are_taken,
                    of_many_takers_one_gets_a_chord,
                    a_dropped_take_loses_no_chord,
                }
                finish {
                    what_follows_happens_with_the_end,
                    a_chord_is_finished_once,
                    of_many_who_finish_one_does,
                    what_is_not_complete_is_not_finished,
                    later_parts_of_a_finished_chord_change_nothing,
                    a_finished_chord_that_is_opened_begins_anew,
                    a_chord_may_begin_anew_with_its_own_end,
                    a_dropped_finish_happens_whole_or_not_at_all,
                }
                settle {
                    a_step_happens_with_the_settlement,
                    a_step_happens_with_every_verdict,
                    the_parts_of_a_batch_all_count,
                    a_settlement_whose_lease_was_lost_counts_nothing,
                    a_delivery_that_is_gone_counts_nothing,
                    a_dropped_settlement_counts_with_its_verdict_or_not_at_all,
                }
                expiry {
                    a_chord_is_forgotten_when_its_time_is_over,
                    each_change_keeps_a_chord_for_its_time,
                    the_last_change_brings_its_own_expiry,
                    a_chord_without_expiry_is_kept_for_ever,
                    what_was_forgotten_leaves_the_others,
                }
                saved {
                    a_saved_group_is_given,
                    a_group_that_was_never_saved_is_none,
                    a_saved_group_outlives_the_handle_that_saved_it,
                    a_group_saved_again_is_replaced,
                    a_deleted_group_is_gone,
                    a_saved_group_is_forgotten_when_its_time_is_over,
                    each_save_brings_its_own_expiry,
                    the_structure_of_a_chord_is_found,
                    each_change_of_a_chord_keeps_what_is_saved_of_it,
                    saving_a_group_leaves_its_chord_as_it_is,
                    a_chord_that_begins_leaves_what_was_saved,
                    deleting_a_group_leaves_its_chord,
                }
            }
            bus {
                tell {
                    a_notice_to_everybody_reaches_every_listener,
                    a_notice_to_a_mailbox_reaches_that_mailbox,
                    a_mailbox_is_not_everybody,
                    notices_of_one_call_keep_their_order,
                    notices_of_one_call_go_to_their_own_addresses,
                    telling_nobody_is_no_failure,
                    telling_nothing_tells_nothing,
                    an_envelope_arrives_byte_for_byte,
                    an_envelope_of_a_megabyte_arrives_whole,
                    any_text_names_an_exchange_and_a_key,
                    notices_told_at_the_same_time_all_arrive,
                }
                listen {
                    what_is_told_after_ok_is_heard,
                    what_was_told_before_is_not_heard,
                    a_pattern_chooses_keys,
                    other_exchanges_are_not_heard,
                    a_listener_hears_all_its_topics,
                    a_notice_comes_once,
                    a_listener_to_nothing_hears_nothing,
                    a_notice_ends_the_wait,
                    a_dropped_wait_loses_nothing,
                    a_dropped_listeners_mailbox_is_closed,
                    a_dropped_listener_leaves_the_others_listening,
                    a_listener_that_does_not_keep_up_misses_the_oldest,
                }
            }
            whole {
                model {
                    a_store_answers_as_the_model_does,
                }
                faults {
                    work_through_faults_loses_nothing_and_settles_once,
                    a_store_that_is_down_comes_back,
                    chords_through_faults_are_finished_once,
                }
            }
        }
    };
}

/// Makes a test of each case; a detail of [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __stamp_cases {
    ($harness:expr; $($seam:ident { $($area:ident { $($case:ident,)* })* })*) => {
        fn conformance_harness() -> impl $crate::Harness {
            $harness
        }

        $(mod $seam { $(mod $area { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let harness = super::super::conformance_harness();
                $crate::$seam::$area::$case(&harness).await;
            }
        )* })* })*
    };
}
