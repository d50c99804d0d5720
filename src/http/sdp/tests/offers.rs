//! The texts of the recorded offers.

pub(super) const CHROMIUM_PUBLISH: &str = include_str!("../offers/chromium-publish.sdp");
pub(super) const CHROMIUM_SIMULCAST: &str = include_str!("../offers/chromium-simulcast.sdp");
pub(super) const CHROMIUM_WATCH: &str = include_str!("../offers/chromium-watch.sdp");
pub(super) const FIREFOX_PUBLISH: &str = include_str!("../offers/firefox-publish.sdp");
pub(super) const FIREFOX_SIMULCAST: &str = include_str!("../offers/firefox-simulcast.sdp");
pub(super) const FIREFOX_WATCH: &str = include_str!("../offers/firefox-watch.sdp");
pub(super) const AIORTC_PUBLISH: &str = include_str!("../offers/aiortc-publish.sdp");
pub(super) const AIORTC_WATCH: &str = include_str!("../offers/aiortc-watch.sdp");
pub(super) const GSTREAMER_PUBLISH: &str = include_str!("../offers/gstreamer-publish.sdp");
pub(super) const OBS_PUBLISH: &str = include_str!("../offers/obs-publish.sdp");
pub(super) const OBS_SIMULCAST: &str = include_str!("../offers/obs-simulcast.sdp");
pub(super) const OBS_HEVC: &str = include_str!("../offers/obs-hevc.sdp");
