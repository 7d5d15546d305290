//! Launching the child: in a pseudo-terminal, or with pipes. The only place with `unsafe`.

pub mod headless;
pub mod piped;
pub mod program;
pub mod terminal;

use std::os::fd::AsFd;

use nix::pty::Winsize;

/// The size of the terminal behind a descriptor.
pub(crate) fn terminal_size(fd: &impl AsFd) -> std::io::Result<Winsize> {
    use std::os::fd::AsRawFd as _;
    nix::ioctl_read_bad!(get_size, nix::libc::TIOCGWINSZ, Winsize);
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is the structure this request fills, and lives through the call.
    unsafe { get_size(fd.as_fd().as_raw_fd(), &raw mut size) }?;
    Ok(size)
}

/// Whether this process ignores a signal now.
#[must_use]
pub fn is_ignored(signal: nix::sys::signal::Signal) -> bool {
    use nix::libc;
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action this is a query; `action` is written on success, and all-zero
    // is a valid value of the plain C structure otherwise.
    let action = unsafe {
        libc::sigaction(signal as libc::c_int, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}
