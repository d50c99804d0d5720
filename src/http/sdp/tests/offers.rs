//! The texts of the recorded offers.

pub const CHROMIUM_PUBLISH: &str = include_str!("../offers/chromium-publish.sdp");
pub const CHROMIUM_SIMULCAST: &str = include_str!("../offers/chromium-simulcast.sdp");
pub const CHROMIUM_WATCH: &str = include_str!("../offers/chromium-watch.sdp");
pub const FIREFOX_PUBLISH: &str = include_str!("../offers/firefox-publish.sdp");
pub const FIREFOX_SIMULCAST: &str = include_str!("../offers/firefox-simulcast.sdp");
pub const FIREFOX_WATCH: &str = include_str!("../offers/firefox-watch.sdp");
pub const AIORTC_PUBLISH: &str = include_str!("../offers/aiortc-publish.sdp");
pub const AIORTC_WATCH: &str = include_str!("../offers/aiortc-watch.sdp");
pub const GSTREAMER_PUBLISH: &str = include_str!("../offers/gstreamer-publish.sdp");
pub const OBS_PUBLISH: &str = include_str!("../offers/obs-publish.sdp");
pub const OBS_SIMULCAST: &str = include_str!("../offers/obs-simulcast.sdp");
pub const OBS_HEVC: &str = include_str!("../offers/obs-hevc.sdp");
