//! Tasks that send others.

crate::later::later! {
    chain_add chord_add add_to_all_to_chord add_chord_to_chord build_chain_inside_task
}
