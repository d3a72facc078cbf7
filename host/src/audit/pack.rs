//! Packs: lines of the journal, compressed together.
//!
//! Records repeat each other's words, and what sled costs grows with the bytes that it is given. It refuses to know where
//! packs are kept.

/// Bytes of lines that are compressed together: so many that most packs make one value, and no more, since whoever reads one
/// record unpacks all of it. A larger line is a pack of its own.
const BYTES: usize = 16 << 10;

/// The most that LZ4 makes of a byte. A size that says more is damaged, and must not take the memory that it names.
const EXPANDS: usize = 255;

/// Whole lines, cut into what makes a pack.
pub(super) fn cut(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let most = rest.len().min(BYTES);
        let end = memchr::memrchr(b'\n', &rest[..most]).or_else(|| memchr::memchr(b'\n', rest))?;
        let (pack, behind) = rest.split_at(end + 1);
        rest = behind;
        Some(pack)
    })
}

/// The lines of a pack, without their newlines.
pub(super) fn lines(pack: &[u8]) -> impl Iterator<Item = &[u8]> {
    pack.split(|c| *c == b'\n').filter(|line| !line.is_empty())
}

/// Make a pack.
pub(super) fn pack(lines: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(lines)
}

/// The lines of a pack; `None` if it is none.
pub(super) fn unpack(pack: &[u8]) -> Option<Vec<u8>> {
    let (bytes, compressed) = lz4_flex::block::uncompressed_size(pack).ok()?;
    if bytes > compressed.len().saturating_mul(EXPANDS) {
        return None;
    }
    let lines = lz4_flex::block::decompress(compressed, bytes).ok()?;
    (lines.len() == bytes).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: usize) -> Vec<u8> {
        [vec![b'x'; bytes - 1], vec![b'\n']].concat()
    }

    fn sizes(lines: &[usize]) -> Vec<usize> {
        let lines: Vec<u8> = lines.iter().flat_map(|bytes| line(*bytes)).collect();
        assert_eq!(cut(&lines).collect::<Vec<_>>().concat(), lines, "nothing is left out");
        cut(&lines).map(<[u8]>::len).collect()
    }

    #[test]
    fn packs_are_whole_lines_up_to_their_size() {
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[BYTES - 10, 10]), [BYTES]);
        assert_eq!(sizes(&[BYTES - 10, 11]), [BYTES - 10, 11]);
        assert_eq!(sizes(&[10, 3 * BYTES, 10, 10]), [10, 3 * BYTES, 20]);
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for bytes in [1, 100, BYTES, 40 * BYTES] {
            let line = line(bytes);
            assert_eq!(unpack(&pack(&line)).as_deref(), Some(&line[..]), "{bytes} bytes");
        }
    }

    #[test]
    fn a_damaged_pack_is_none_or_other_lines_and_takes_no_memory_that_it_only_names() {
        let whole = pack(&line(BYTES));
        for end in 0..whole.len() {
            assert_eq!(unpack(&whole[..end]), None, "cut at {end}");
        }
        let mut boasts = whole.clone();
        boasts[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(unpack(&boasts), None);
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            // What it comes to is compared with the chain by whoever verifies; here it must only not panic.
            let _ = unpack(&damaged);
        }
    }
}
