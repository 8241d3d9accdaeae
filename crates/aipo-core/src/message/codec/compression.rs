//! Compressed bodies and results.
//!
//! Reading is bounded: bytes that come to more than a limit are refused before they are held.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::str::FromStr;

use lzma_rust2::{XzOptions, XzReader, XzWriter};
use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};
use oxiarc_bzip2::CompressionLevel;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding;

/// A compression that is read and written. Celery's `compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// zlib. kombu calls it `gzip` as well, and on the wire it is `application/x-gzip`.
    Zlib,
    /// bzip2, on the wire `application/x-bz2`.
    Bzip2,
    /// xz. kombu calls it `lzma` as well, and on the wire it is `application/x-lzma`.
    Xz,
    /// Zstandard, on the wire `application/zstd`.
    Zstd,
}

/// How much memory an xz stream may ask for to be read, in KiB: what the highest preset needs, and a
/// little more.
const XZ_MEMORY_KIB: u32 = 80 * 1024;

/// Python's `zlib.compress` and `lzma.compress` write at this level.
const LEVEL: u8 = 6;

impl Compression {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Zlib, Self::Bzip2, Self::Xz, Self::Zstd];

    /// kombu's names of it, the one that settings are shown with first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Zlib => &["zlib", "gzip"],
            Self::Bzip2 => &["bzip2", "bzip"],
            Self::Xz => &["xz", "lzma"],
            Self::Zstd => &["zstd", "zstandard"],
        }
    }

    /// What the header `compression` says.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Zlib => "application/x-gzip",
            Self::Bzip2 => "application/x-bz2",
            Self::Xz => "application/x-lzma",
            Self::Zstd => "application/zstd",
        }
    }

    /// Compresses.
    pub(in crate::message) fn compress(self, bytes: &[u8]) -> Vec<u8> {
        const INTO_MEMORY: &str = "writing into memory does not fail";
        match self {
            Self::Zlib => compress_to_vec_zlib(bytes, LEVEL),
            Self::Bzip2 => {
                oxiarc_bzip2::compress(bytes, CompressionLevel::default()).expect(INTO_MEMORY)
            }
            Self::Xz => {
                let options = XzOptions::with_preset(u32::from(LEVEL));
                let mut writer = XzWriter::new(Vec::new(), options).expect(INTO_MEMORY);
                writer.write_all(bytes).expect(INTO_MEMORY);
                writer.finish().expect(INTO_MEMORY)
            }
            Self::Zstd => encoding::compress_to_vec(bytes, encoding::CompressionLevel::Fastest),
        }
    }

    /// Decompresses, to at most `max_size` bytes.
    ///
    /// # Errors
    /// When the bytes are of no such compression, cut off, or come to more than `max_size`.
    pub(in crate::message) fn decompress(
        self,
        bytes: &[u8],
        max_size: usize,
    ) -> Result<Vec<u8>, String> {
        let broken = |what: &dyn fmt::Display| format!("{}: {what}", self.content_type());
        let too_large = || {
            broken(&format_args!(
                "more than {max_size} bytes when decompressed"
            ))
        };
        let bytes = match self {
            Self::Zlib => match decompress_to_vec_zlib_with_limit(bytes, max_size) {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.status == TINFLStatus::HasMoreOutput => return Err(too_large()),
                Err(error) => return Err(broken(&error)),
            },
            Self::Bzip2 => {
                let mut decoder =
                    oxiarc_bzip2::BzDecoder::new(bytes).map_err(|error| broken(&error))?;
                let mut out = Vec::new();
                while out.len() <= max_size
                    && let Some(block) = decoder.read_block().map_err(|error| broken(&error))?
                {
                    out.extend_from_slice(&block);
                }
                out
            }
            Self::Xz => {
                let reader = XzReader::new_mem_limit(bytes, true, XZ_MEMORY_KIB);
                read(reader, max_size).map_err(|error| broken(&error))?
            }
            Self::Zstd => {
                let reader = StreamingDecoder::new(bytes).map_err(|error| broken(&error))?;
                read(reader, max_size).map_err(|error| broken(&error))?
            }
        };
        if bytes.len() > max_size {
            return Err(too_large());
        }
        Ok(bytes)
    }
}

/// What a reader gives, at most one byte more than the limit.
fn read(reader: impl Read, max_size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_size).unwrap_or(u64::MAX);
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names()[0])
    }
}

/// Reads one of kombu's names or a content type.
impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|method| text == method.content_type() || method.names().contains(&text))
            .ok_or_else(|| {
                format!("compression {text:?} is not supported; there are zlib (gzip), bzip2, xz (lzma) and zstd")
            })
    }
}
