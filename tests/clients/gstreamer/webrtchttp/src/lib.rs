//! The plugin with `whipsink` and `whepsrc` as a library that GStreamer loads; Debian 12 has none.
pub use plugin::plugin_register_static;
