//! The byte layout shared by everything this crate stores or sends: little varints and texts.
//!
//! Writers append to a `Vec<u8>` and cannot fail. Readers take from the front of a slice and
//! answer [`Malformed`] on any truncation or overlong number; they never panic.

/// Bytes that are not what the reader expects.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed bytes: {0}")]
pub struct Malformed(pub &'static str);

/// Appends an unsigned LEB128 number.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, zigzag coded.
#[inline]
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a signed number of 128 bits, zigzag coded: the bytes of [`put_i64`] where it fits.
#[inline]
pub fn put_i128(out: &mut Vec<u8>, value: i128) {
    let mut rest = ((value << 1) ^ (value >> 127)) as u128;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a text with its length.
#[inline]
pub fn put_str(out: &mut Vec<u8>, text: &str) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Takes from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.0.split_first().ok_or(Malformed("ends early"))?;
        self.0 = rest;
        Ok(first)
    }

    /// An unsigned LEB128 number.
    ///
    /// # Errors
    /// [`Malformed`] at the end, or past 64 bits.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(Malformed("number past 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A zigzag coded number.
    ///
    /// # Errors
    /// As [`Reader::u64`].
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        let value = self.u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A zigzag coded number of 128 bits, or what [`put_i64`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] at the end, or past 128 bits.
    pub fn i128(&mut self) -> Result<i128, Malformed> {
        let (mut value, mut shift) = (0_u128, 0);
        loop {
            let byte = self.u8()?;
            if shift == 126 && byte > 3 {
                return Err(Malformed("number past 128 bits"));
            }
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i128 ^ -((value & 1) as i128));
            }
            shift += 7;
        }
    }

    /// A fixed number of bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        if len > self.0.len() {
            return Err(Malformed("ends early"));
        }
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn block(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u64()?;
        self.bytes(usize::try_from(len).map_err(|_| Malformed("length"))?)
    }

    /// A text.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early or is not UTF-8.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.block()?).map_err(|_| Malformed("text is not UTF-8"))
    }

    /// Eight bytes, little endian.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn fixed_u64(&mut self) -> Result<u64, Malformed> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.bytes(8)?);
        Ok(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back_and_truncations_are_errors() {
        let mut out = Vec::new();
        for n in [0, 1, 127, 128, u64::MAX] {
            put_u64(&mut out, n);
        }
        for n in [0, -1, i64::MIN, i64::MAX] {
            put_i64(&mut out, n);
        }
        for n in [i128::MIN, i128::MAX, -1] {
            put_i128(&mut out, n);
        }
        for n in [0, -1, i64::MIN, i64::MAX] {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            put_i64(&mut short, n);
            put_i128(&mut long, n.into());
            assert_eq!((Reader(&short).i128(), &short), (Ok(n.into()), &long));
        }
        put_str(&mut out, "é");
        let mut reader = Reader(&out);
        for n in [0, 1, 127, 128, u64::MAX] {
            assert_eq!(reader.u64(), Ok(n));
        }
        for n in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(reader.i64(), Ok(n));
        }
        for n in [i128::MIN, i128::MAX, -1] {
            assert_eq!(reader.i128(), Ok(n));
        }
        assert_eq!(reader.str(), Ok("é"));
        assert!(reader.is_empty() && reader.u8().is_err());
        assert!(Reader(&[0xff; 11]).u64().is_err());
        assert!(Reader(&[0xff; 20]).i128().is_err());
        assert!(Reader(&[2, 0xc3, 0x28]).str().is_err());
    }
}
