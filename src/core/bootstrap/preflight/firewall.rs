//! Reads the chains that `nft list chains` prints.

use crate::core::model::preflight::Chain;

/// All chains, as `nft list chains` prints them (nft(8)).
pub fn parse_chains(listing: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = "";
    for line in listing.lines().map(str::trim) {
        let opened = |word: &str| line.strip_prefix(word).and_then(|rest| rest.strip_suffix('{')).map(str::trim);
        if let Some(name) = opened("table ") {
            table = name;
        } else if let Some(name) = opened("chain ") {
            chains.push(Chain { table: table.to_owned(), name: name.to_owned(), drops_forwarded: false });
        } else if let Some(chain) = chains.last_mut() {
            chain.drops_forwarded |= line.contains(" hook forward ") && line.contains("policy drop");
        }
    }
    chains
}
