//! Typed views of shared bytes: a column's values without a copy where alignment allows, with one where it does not.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use bytes::Bytes;

/// An immutable, cheaply cloned slice of `T`.
#[derive(Clone)]
pub struct Buffer<T> {
    source: Source<T>,
}

#[derive(Clone)]
enum Source<T> {
    Owned(Arc<Vec<T>>, Range<usize>),
    /// Aligned for `T` and a whole number of `T` long: checked when made.
    Shared(Bytes, PhantomData<T>),
}

impl<T: Pod> Buffer<T> {
    /// A view of little-endian `bytes`; copies when they aren't aligned for `T`.
    ///
    /// # Panics
    /// If the length isn't a multiple of `T`'s size: the caller has checked the format.
    pub fn from_bytes(bytes: Bytes) -> Self {
        assert_eq!(bytes.len() % size_of::<T>(), 0, "a column's bytes are a whole number of values");
        if bytemuck::try_cast_slice::<u8, T>(&bytes).is_ok() {
            return Self { source: Source::Shared(bytes, PhantomData) };
        }
        let mut values = vec![T::zeroed(); bytes.len() / size_of::<T>()];
        bytemuck::cast_slice_mut::<T, u8>(&mut values).copy_from_slice(&bytes);
        values.into()
    }

    /// The values.
    pub fn as_slice(&self) -> &[T] {
        match &self.source {
            Source::Owned(values, range) => &values[range.clone()],
            Source::Shared(bytes, _) => bytemuck::cast_slice(bytes),
        }
    }

    /// The values `range`, sharing the memory.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "a slice lies inside of its buffer");
        match &self.source {
            Source::Owned(values, outer) => {
                let range = outer.start + range.start..outer.start + range.end;
                Self { source: Source::Owned(values.clone(), range) }
            }
            Source::Shared(bytes, _) => {
                let size = size_of::<T>();
                Self { source: Source::Shared(bytes.slice(range.start * size..range.end * size), PhantomData) }
            }
        }
    }

    /// The little-endian bytes of the values.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.as_slice())
    }
}

impl<T: Pod + Send + Sync> Buffer<T> {
    /// The little-endian bytes of the values, sharing the memory.
    pub fn into_bytes(self) -> Bytes {
        match self.source {
            Source::Shared(bytes, _) => bytes,
            Source::Owned(..) => Bytes::from_owner(Owner(self)),
        }
    }
}

/// Lets `Bytes` hold a buffer.
struct Owner<T>(Buffer<T>);

impl<T: Pod> AsRef<[u8]> for Owner<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        let range = 0..values.len();
        Self { source: Source::Owned(Arc::new(values), range) }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Pod + std::fmt::Debug> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_share_or_copy() {
        let bytes = Bytes::from(bytemuck::cast_slice::<i64, u8>(&[1, 2, 3, 4]).to_vec());
        let unaligned = {
            let mut padded = vec![0u8; 3];
            padded.extend_from_slice(&bytes);
            Bytes::from(padded).slice(3..)
        };
        for source in [bytes, unaligned] {
            let buffer = Buffer::<i64>::from_bytes(source);
            assert_eq!(&*buffer, &[1, 2, 3, 4]);
            assert_eq!(&*buffer.slice(1..3), &[2, 3]);
            assert_eq!(&*buffer.slice(1..4).slice(1..2), &[3]);
            assert_eq!(buffer.slice(4..4).as_slice(), &[] as &[i64]);
            assert_eq!(buffer.slice(1..3).into_bytes(), bytemuck::cast_slice::<i64, u8>(&[2, 3]));
        }
    }
}
