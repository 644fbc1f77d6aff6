//! Hex encoding for the request path.

/// Lower-case hex. `hex::encode` collects character by character, which measurably slows a request.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len() * 2];
    // Can't fail: the length is right, and hex is ASCII.
    let _ = hex::encode_to_slice(bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_hex_of_every_byte(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(hex_text(&bytes), hex::encode(&bytes));
        }
    }
}
