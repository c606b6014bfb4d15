//! Tables of which connections are admitted and evicted.

use proptest::prelude::*;

use super::*;

fn of(total: usize, per_source: usize) -> Connections<u8, u64> {
    Connections::new(Limits { total, per_source })
}

#[test]
fn a_flood_of_one_source_costs_that_source_only() {
    let mut held = of(10, 10);
    let quiet = held.admit(1, 1000).unwrap();
    assert_eq!(quiet.evicted, None);
    let evicted: Vec<_> = (0..500).filter_map(|n| held.admit(2, n).unwrap().evicted).collect();
    assert_eq!(held.len(), 10);
    // The oldest connections of the flood were evicted in order, and never the other source's.
    assert_eq!(evicted, (0..491).collect::<Vec<_>>());
    assert!(held.release(quiet.id));
}

#[test]
fn a_share_is_kept_while_there_is_room() {
    let mut held = of(10, 3);
    let admitted: Vec<_> = (0..4).map(|n| held.admit(2, n).unwrap().evicted).collect();
    assert_eq!(admitted, [None, None, None, Some(0)]);
    assert_eq!(held.admit(3, 9).unwrap().evicted, None);
}

#[test]
fn who_has_shown_something_goes_after_those_that_have_not_and_who_is_held_never() {
    let mut held = of(3, 3);
    let ids: Vec<_> = (0..3).map(|n| held.admit(1, n).unwrap().id).collect();
    held.note(ids[0], Standing::Proven);
    held.note(ids[1], Standing::Held);
    assert_eq!(held.admit(2, 10).unwrap().evicted, Some(2));
    assert_eq!(held.admit(3, 11).unwrap().evicted, Some(0));
    let mut held = of(1, 1);
    let only = held.admit(1, 1).unwrap().id;
    held.note(only, Standing::Held);
    assert_eq!(held.admit(2, 2), Err(Full));
    assert_eq!(held.evict_one(), None);
    held.note(only, Standing::New);
    assert_eq!(held.evict_one(), Some(1));
    // It has no entry any more: releasing or noting it changes nothing.
    assert!(!held.release(only));
    held.note(only, Standing::Held);
    assert!(held.is_empty());
}

#[test]
fn addresses_of_one_owner_are_one_source() {
    for (address, source) in [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fd00:1:2:3:4:5:6:7", "fd00:1:2:3::"),
        ("fd00:1:2:4::1", "fd00:1:2:4::"),
    ] {
        assert_eq!(source_of(address.parse().unwrap()), source.parse::<IpAddr>().unwrap(), "{address}");
    }
}

proptest! {
    #[test]
    fn bounds_hold_and_places_are_counted_right(
        steps in proptest::collection::vec((0u8..5, 0u8..4, any::<prop::sample::Index>()), 1..200),
        total in 1usize..8,
        per_source in 1usize..8,
    ) {
        let mut held = of(total, per_source);
        let mut ids = Vec::new();
        for (source, what, which) in steps {
            match what {
                0 | 1 => ids.extend(held.admit(source, 0).map(|a| a.id)),
                2 if !ids.is_empty() => {
                    held.release(*which.get(&ids));
                }
                3 if !ids.is_empty() => held.note(*which.get(&ids), Standing::Held),
                _ => {}
            }
            prop_assert!(held.len() <= total);
            for source in 0..5 {
                let really = held.entries.values().filter(|e| e.source == source).count();
                prop_assert_eq!(held.count(&source), really);
                prop_assert!(really <= per_source);
            }
        }
    }
}
