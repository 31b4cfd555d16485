//! The loaders on images that are built here.

mod images;
mod linux;
mod multiboot;
mod mutations;
