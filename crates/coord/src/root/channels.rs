//! Which channels a new collection's shards get: those with the fewest shards, each at most once while there are enough.

use std::collections::BTreeMap;

use types::id::ChannelName;

/// `count` channels out of `all` for a new collection, given how many shards each has.
pub fn pick(all: &[ChannelName], shards: &BTreeMap<ChannelName, usize>, count: usize) -> Vec<ChannelName> {
    let mut order: Vec<(usize, usize)> = all.iter().enumerate().map(|(i, name)| (shards.get(name).copied().unwrap_or(0), i)).collect();
    order.sort_unstable();
    order.iter().cycle().take(count).map(|&(_, i)| all[i].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_come_first() {
        let all: Vec<ChannelName> = (0..3).map(|n| ChannelName::numbered("p", n)).collect();
        let used = BTreeMap::from([(all[0].clone(), 2), (all[2].clone(), 1)]);
        let check = |count, expected: &[usize]| {
            let names: Vec<ChannelName> = expected.iter().map(|&i| all[i].clone()).collect();
            assert_eq!(pick(&all, &used, count), names);
        };
        check(1, &[1]);
        check(2, &[1, 2]);
        check(4, &[1, 2, 0, 1]);
    }
}
