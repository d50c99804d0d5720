//! One page of the browser.

use std::fs;
use std::panic::Location;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cdp::{Cdp, thrown};
use super::wait::eventually;

const LOAD: Duration = Duration::from_secs(30);

/// One page, in a window of its own; closed on drop.
#[derive(Debug)]
pub(crate) struct Page {
    cdp: Cdp,
    target: String,
    session: String,
}

impl Page {
    /// Opens `url` in a new window, after `script`, and returns when it has loaded.
    pub(super) async fn open(cdp: Cdp, url: &str, script: &str) -> Self {
        let browser = async |method: &str, params: Value| {
            let called = cdp.call(None, method, params).await;
            called.unwrap_or_else(|error| panic!("browser: {error}"))
        };
        // A window of its own, for what is behind another tab gets no frames.
        let blank = json!({ "url": "about:blank", "newWindow": true });
        let target = string(&browser("Target.createTarget", blank).await["targetId"]);
        let attach = json!({ "targetId": target, "flatten": true });
        let session = string(&browser("Target.attachToTarget", attach).await["sessionId"]);
        let page = Self { cdp, target, session };
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            page.call(domain, json!({})).await;
        }
        let focus = json!({ "enabled": true });
        page.call("Emulation.setFocusEmulationEnabled", focus).await;
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
        let navigated = page.call("Page.navigate", json!({ "url": url })).await;
        if let Some(error) = navigated.get("errorText") {
            panic!("{url} did not load: {error}");
        }
        page.wait_for("document.readyState === 'complete'", LOAD).await;
        page
    }

    /// The value of `js`, awaited if it is a promise; `()` where there is none.
    ///
    /// # Panics
    /// When it throws or rejects, or the value is no `T`.
    pub(crate) async fn eval<T: DeserializeOwned>(&self, js: &str) -> T {
        self.try_eval(js).await.unwrap_or_else(|error| panic!("{js}\n{error}\n{}", self.logged()))
    }

    /// As [`eval`](Self::eval); the error is what the page threw.
    pub(crate) async fn try_eval<T: DeserializeOwned>(&self, js: &str) -> Result<T, String> {
        let params = json!({
            "expression": js,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let session = Some(self.session.as_str());
        let mut answer = self.cdp.call(session, "Runtime.evaluate", params).await?;
        if let Some(details) = answer.get("exceptionDetails") {
            return Err(thrown(details));
        }
        let value = answer["result"]["value"].take();
        serde_json::from_value(value).map_err(|error| format!("its value: {error}"))
    }

    /// Waits until `js` is truthy; what throws meanwhile is not.
    ///
    /// # Panics
    /// After `limit`, with the last value and what the page logged.
    #[track_caller]
    pub(crate) fn wait_for(&self, js: &str, limit: Duration) -> impl Future<Output = ()> {
        let at = Location::caller();
        // Asked for as an array, so that the page judges and the value can still be shown.
        let ask = format!("(async () => {{ const v = await ({js}\n); return [!!v, String(v)]; }})()");
        async move {
            let what = format!("`{js}` at {at}");
            eventually(limit, what, || async {
                let (so, value) = self
                    .try_eval::<(bool, String)>(&ask)
                    .await
                    .map_err(|error| format!("{error}\n{}", self.logged()))?;
                so.then_some(()).ok_or_else(|| format!("{value}\n{}", self.logged()))
            })
            .await;
        }
    }

    /// Writes what the page shows to `path`, as PNG.
    pub(crate) async fn screenshot(&self, path: impl AsRef<Path>) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let png = from_base64(&string(&shot["data"]));
        fs::write(path, png).expect("write the screenshot");
    }

    /// Sets the size of the page in CSS pixels, at one device pixel each.
    pub(crate) async fn set_viewport(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets whether the page is shown `light` or `dark`.
    pub(crate) async fn set_color_scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// What the page logged, threw or failed to load so far, each line after its level.
    pub(crate) fn console(&self) -> Vec<String> {
        self.cdp.lines(&self.session)
    }

    fn logged(&self) -> String {
        format!("console:\n  {}", self.console().join("\n  "))
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let called = self.cdp.call(Some(&self.session), method, params).await;
        called.unwrap_or_else(|error| panic!("page: {error}\n{}", self.logged()))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let target = json!({ "targetId": self.target });
        self.cdp.tell("Target.closeTarget", target);
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("the browser answered {value} where a string belongs")).to_owned()
}

/// The protocol has no other form for bytes (RFC 4648, section 4).
fn from_base64(encoded: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<usize> = encoded.chars().map_while(|c| ALPHABET.find(c)).collect();
    let bytes = digits.chunks(4).flat_map(|group| {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | group.get(at).unwrap_or(&0));
        // Four digits hold three bytes, and a short last group one less than its digits.
        [16, 8, 0]
            .map(|shift| u8::try_from(bits >> shift & 0xff).expect("one byte"))
            .into_iter()
            .take(group.len() - 1)
    });
    bytes.collect()
}
