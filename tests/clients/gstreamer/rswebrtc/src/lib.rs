//! The plugin with `whipclientsink` as a library that GStreamer loads; Debian 12 has none.
pub use plugin::plugin_register_static;
