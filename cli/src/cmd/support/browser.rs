//! Opens pages in the operator's browser.

use std::env::var_os;

/// What shows that this session has a desktop: X11, Wayland, Windows' desktop from WSL, or a browser of the operator's choice.
const DESKTOPS: [&str; 4] = ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER"];

/// Opens a URL or a file in the browser, through the desktop's launcher and without a shell. Returns whether that was
/// possible: over SSH and in scripts there is no desktop, and a launcher would start a browser in this terminal.
pub(crate) fn open_in_browser(target: &str) -> bool {
    let is_set = |name| var_os(name).is_some_and(|value| !value.is_empty());
    let has_desktop = cfg!(target_os = "macos") || DESKTOPS.into_iter().any(is_set);
    has_desktop && open::that_detached(target).is_ok()
}
