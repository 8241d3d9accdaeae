//! Tasks that put others in their place.

crate::later::later! {
    add_replaced add_replaced_with_chain fail_replaced replace_with_chain replace_with_chain_which_raises
    replace_with_empty_chain replace_with_chain_which_contains_a_group add_to_all
    record_replaced_task_nesting second_order_replace1 second_order_replace2 replace_with_stamped_task
}
