//! Which of the right words a wrong one looks most like.

/// Words longer than this are not compared.
const LONGEST: usize = 32;

/// The candidate that looks most like `word`: it begins with it, or is at most a third of it (but two letters of a short
/// word) away, where a letter too many, too few, a wrong one, or two swapped count one.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (word.len() / 3).max(2).min(word.len().saturating_sub(1));
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let begins = word.len() >= 2 && candidate.starts_with(word);
            let distance = if begins { 1 } else { distance(word.as_bytes(), candidate.as_bytes())? };
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance, in bytes; `None` for long words.
pub(super) fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.len() > LONGEST || b.len() > LONGEST {
        return None;
    }
    // Rows of the table for the prefixes of `a` one and two shorter, and for this one.
    let mut before = [0; LONGEST + 1];
    let mut above: [usize; LONGEST + 1] = core::array::from_fn(|j| j);
    for i in 1..=a.len() {
        let mut row = [i; LONGEST + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, above) = (above, row);
    }
    Some(above[b.len()])
}
