//! Message authentication by its definition, so that what the host signs and checks is checked by other code.

use balm_core::digest::Digest;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// HMAC-SHA256 as RFC 2104 defines it.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Digest {
    let mut block = [0; BLOCK];
    let short = if key.len() > BLOCK { Digest::of(&[key]).as_bytes().to_vec() } else { key.to_vec() };
    block[..short.len()].copy_from_slice(&short);
    let inner = Digest::of(&[&block.map(|byte| byte ^ 0x36), message]);
    Digest::of(&[&block.map(|byte| byte ^ 0x5c), inner.as_bytes()])
}

/// Test cases 2 and 6 of RFC 4231.
#[test]
fn the_authentication_is_that_of_the_standard() {
    let short = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(short.to_string(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    let long = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(long.to_string(), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
