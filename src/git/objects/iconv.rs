//! Encodings, as iconv(3) knows them: git's names for them are its names, and what git
//! cannot convert stays as it is.

use std::ffi::CString;
use std::ptr;

/// Room for so much more is made at a time, at least.
const LEAST_ROOM: usize = 64;

/// Converts a text to UTF-8. Returns `None` if it already is UTF-8, or if it cannot be converted
/// (utf8.c, `reencode_string`).
pub(in crate::git) fn to_utf8(text: &[u8], encoding: &[u8]) -> Option<Vec<u8>> {
    let is = |name: &str| encoding.eq_ignore_ascii_case(name.as_bytes());
    if encoding.is_empty() || is("UTF-8") || is("UTF8") {
        return None;
    }
    let encoding = if is("UTF-16LE-BOM") {
        b"UTF-16LE"
    } else {
        encoding
    };
    let mut converter = Converter::open(encoding);
    if converter.is_none() && is("latin-1") {
        converter = Converter::open(b"ISO-8859-1");
    }
    converter?.convert(text)
}

/// From one encoding to UTF-8.
struct Converter(libc::iconv_t);

impl Converter {
    #[allow(unsafe_code)]
    fn open(encoding: &[u8]) -> Option<Self> {
        let encoding = CString::new(encoding).ok()?;
        // SAFETY: both names end in zero.
        let opened = unsafe { libc::iconv_open(c"UTF-8".as_ptr(), encoding.as_ptr()) };
        // What it gives for an error is -1, as a pointer (iconv_open(3)).
        (opened.addr() != usize::MAX).then_some(Self(opened))
    }

    #[allow(unsafe_code)]
    fn convert(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let mut converted: Vec<u8> = Vec::with_capacity(text.len() + LEAST_ROOM);
        let mut from = text.as_ptr().cast_mut().cast();
        let mut left = text.len();
        loop {
            let room = converted.spare_capacity_mut();
            let mut to = room.as_mut_ptr().cast();
            let (before, mut free) = (room.len(), room.len());
            // SAFETY: `from` has `left` bytes, which are only read, and `to` has `free`; the
            // call moves both and counts down.
            let done = unsafe {
                libc::iconv(
                    self.0,
                    ptr::from_mut(&mut from),
                    ptr::from_mut(&mut left),
                    ptr::from_mut(&mut to),
                    ptr::from_mut(&mut free),
                )
            };
            let error = std::io::Error::last_os_error().raw_os_error();
            // SAFETY: so many bytes more were written.
            unsafe { converted.set_len(converted.len() + before - free) };
            if done != usize::MAX {
                return Some(converted);
            }
            if error != Some(libc::E2BIG) {
                return None;
            }
            converted.reserve(left.max(LEAST_ROOM));
        }
    }
}

impl Drop for Converter {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: it is open, and closed here alone.
        unsafe { libc::iconv_close(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iconv_knows_is_converted_and_nothing_else() {
        let of = |text: &[u8], encoding: &str| {
            let converted = to_utf8(text, encoding.as_bytes())?;
            Some(String::from_utf8(converted).expect("it is UTF-8"))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(b"Jos\xe9", "ISO-8859-1"), text("José"));
        assert_eq!(of(b"Jos\xe9", "latin-1"), text("José"));
        assert_eq!(of(b"\xff\xfea\0", "UTF-16"), text("a"));
        let long = "\u{e9}".repeat(10_000);
        assert_eq!(of(&vec![0xe9; 10_000], "latin1"), text(&long));
        for (bytes, encoding) in [
            (&b"Jos\xe9"[..], ""),
            (b"Jos\xe9", "utf8"),
            (b"Jos\xe9", "UTF-8"),
            (b"Jos\xe9", "no-such-encoding"),
            (b"\xff\xff", "EUC-JP"),
            (b"a", "UTF-16"),
            (b"x\0", "x\0y"),
        ] {
            assert_eq!(of(bytes, encoding), None, "{encoding}");
        }
    }
}
