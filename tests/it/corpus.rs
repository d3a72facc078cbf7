//! Each guest of the hostile corpus has its test, and each test its guest: it ends as it must, and nothing else happens.
//!
//! They share one sandbox and run at the same time, as they would in a host.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use balm_sandbox::Sandbox;
use balm_tests::corpus;

use crate::sandbox::runtime;

/// A test of each name, and the list of names.
macro_rules! guests {
    ($($name:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                judge(stringify!($name));
            }
        )*
    };
}

guests! {
    // time
    loops
    loops_when_it_starts
    loops_when_it_describes_itself
    loops_over_its_settings
    loops_when_it_is_given_room
    loops_after_it_returned
    calls_itself
    calls_itself_through_a_table
    calls_itself_with_large_frames
    copies_its_whole_memory
    fills_its_whole_memory
    fills_its_whole_table
    calls_the_host_without_end
    computes_without_end_in_rust
    sleeps
    // space
    grows_its_memory_without_end
    has_too_large_a_memory
    has_memories_that_are_too_large_together
    has_too_many_memories
    grows_its_table_without_end
    has_too_large_a_table
    has_tables_that_are_too_large_together
    has_too_many_tables
    has_two_tables_in_a_module
    has_too_many_instances
    has_ten_thousand_instances
    has_a_hundred_thousand_globals
    leaves_something_in_its_memory
    looks_for_what_others_left
    allocates_without_end_in_rust
    allocates_at_once_in_rust
    // traps
    reaches_the_unreachable
    divides_by_zero
    overflows_an_integer
    converts_what_is_no_number
    reads_beyond_its_memory
    reads_far_beyond_its_memory
    calls_beyond_its_table
    calls_nothing
    calls_with_a_wrong_signature
    traps_when_it_starts
    traps_when_it_describes_itself
    traps_over_its_settings
    traps_when_it_is_given_room
    traps_after_it_returned
    has_data_beyond_its_memory
    has_elements_beyond_its_table
    panics_in_rust
    exits
    recurses_in_rust
    // boundary
    gives_room_out_of_range
    gives_room_at_the_edge
    gives_room_that_is_misaligned
    gives_the_same_room_again_and_again
    calls_back_while_it_gives_room
    returns_out_of_range
    returns_at_the_edge
    returns_what_is_misaligned
    returns_what_it_was_given
    keeps_what_it_returned
    says_what_is_no_text
    says_half_of_a_character
    says_a_surrogate
    says_an_overlong_character
    says_four_gibibytes
    says_more_than_there_is
    says_nothing_from_nowhere
    returns_neither_well_nor_ill
    returns_no_outcome_there_is
    has_neither_some_nor_none
    logs_at_no_level_there_is
    says_true_in_its_own_way
    proposes_a_million_intents
    proposes_twenty_thousand_intents
    proposes_nine_intents
    asks_the_same_text_forty_thousand_times
    returns_a_list_at_a_misaligned_place
    asks_nothing
    asks_seventeen_questions
    asks_what_it_did_not_declare
    computes_with_what_is_no_number
    counts_its_calls
    looks_around
    reads_a_file
    writes_a_file
    proposes_a_hundred_intents
    proposes_what_is_no_json
    proposes_what_is_nested_without_end
    // handles
    forges_a_handle
    forges_the_first_handle
    forges_the_last_handle
    drops_a_handle_twice
    uses_a_handle_after_its_end
    passes_a_handle_off_as_another
    drops_what_another_handle_needs
    takes_a_million_handles
    opens_and_drops_without_end
    leaves_its_handles_open
    opens_with_flags_that_are_none
    waits_for_what_is_ready
    waits_for_an_instant
    waits_for_a_while
    wants_a_gibibyte_of_randomness
    wants_randomness_beyond_its_cap
    wants_randomness_in_a_place_it_has_not
    exits_with_success
    // floods
    logs_more_than_is_kept
    prints_more_than_is_kept
    logs_a_line_of_a_gibibyte
    logs_a_line_of_two_mebibytes
    logs_what_is_no_text
    logs_control_characters
    explains_itself_in_control_characters
    fails_with_control_characters
    explains_itself_in_two_megabytes
    // features
    shares_its_memory
    uses_threads
    waits_for_another_thread
    has_a_memory_of_64_bits
    has_a_table_of_64_bits
    has_two_memories_in_a_module
    has_pages_of_one_byte
    collects_garbage
    has_garbage_in_arrays
    refers_to_typed_functions
    throws_exceptions
    calls_in_its_tail
    computes_relaxed
    computes_with_128_bits
    computes_its_constants
    switches_stacks
    has_a_future
    has_a_stream
    has_an_error_context
    evaluates_asynchronously
    // shape
    is_empty
    is_a_script
    is_a_core_module
    is_native_code
    is_of_an_unknown_version
    is_cut_in_the_middle
    is_damaged_in_the_middle
    has_more_bytes_than_it_may
    has_a_section_without_end
    has_garbage_for_names
    has_a_custom_section_of_megabytes
    has_ten_thousand_custom_sections
    imports_a_stranger
    imports_http
    imports_sockets
    opens_a_socket_in_rust
    imports_the_wasi_of_tomorrow
    imports_the_log_of_tomorrow
    imports_a_function
    imports_a_module
    imports_what_the_log_has_not
    imports_the_log_as_another
    imports_wasi_as_another
    exports_nothing
    exports_too_little
    exports_another_type
    exports_the_contract_of_tomorrow
    exports_more
    exports_a_name_twice
    imports_a_name_twice
    speaks_utf_16
    speaks_latin_1
    insists_on_the_name_of_another
    declares_an_action_there_is_not
    declares_too_much
    has_a_schema_that_is_no_json
}

#[test]
fn every_guest_has_its_test_and_every_test_its_guest() {
    let all = corpus::all();
    let names: BTreeSet<&str> = all.iter().map(|hostile| hostile.name).collect();
    assert_eq!(names.len(), all.len(), "two guests have one name");
    assert_eq!(names, TESTED.iter().copied().collect());
}

fn judge(name: &str) {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| Arc::new(Sandbox::new().expect("a sandbox")));
    let hostile = corpus::all().into_iter().find(|hostile| hostile.name == name).expect("the corpus has it");
    let judged = runtime().block_on(corpus::judge(sandbox, &hostile));
    assert_eq!(judged, Ok(()));
}
