//! The least a relay can be: poll(2), blocking reads and writes, the same screen model. What the
//! benchmark compares `relay` with. `floor COMMAND ARGS…`. No job control, no signals, no promises.

use std::io::{self, Write as _};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, write};

const READABLE: PollFlags = PollFlags::POLLIN;

fn main() -> io::Result<ExitCode> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let settings = tcgetattr(&stdin)?;
    let mut raw = settings.clone();
    cfmakeraw(&mut raw);
    tcsetattr(&stdin, SetArg::TCSANOW, &raw)?;
    let code = relay(stdin.as_fd(), &mut stdout.lock(), &settings);
    tcsetattr(&stdin, SetArg::TCSANOW, &settings)?;
    code
}

fn relay(
    stdin: std::os::fd::BorrowedFd<'_>,
    stdout: &mut io::StdoutLock<'_>,
    settings: &nix::sys::termios::Termios,
) -> io::Result<ExitCode> {
    let pair = nix::pty::openpty(None, settings)?;
    // A child that held our side would never be hung up on.
    fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let mut words = std::env::args_os().skip(1);
    let mut command = Command::new(words.next().expect("usage: floor COMMAND ARGS…"));
    command.args(words).stdin(Stdio::from(pair.slave.try_clone()?));
    command.stdout(Stdio::from(pair.slave.try_clone()?)).stderr(Stdio::from(pair.slave));
    // SAFETY: between fork and exec only async-signal-safe calls: setsid and ioctl.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            if libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    drop(command);
    let size = |count| NonZero::<u16>::new(count).expect("is not zero");
    let mut screen = vt100::Parser::new(size(24), size(80), 0);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let mut fds = [PollFd::new(stdin, READABLE), PollFd::new(pair.master.as_fd(), READABLE)];
        poll(&mut fds, PollTimeout::NONE)?;
        let [keys, output] = fds.map(|fd| fd.any().unwrap_or(true));
        if output {
            let count = match read(&pair.master, &mut buffer) {
                Ok(0) | Err(Errno::EIO) => break,
                count => count?,
            };
            // unbuffered, as the relay's
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                rest = &rest[write(&*stdout, rest)?..];
            }
            screen.process(&buffer[..count]);
        }
        if keys {
            let count = read(stdin, &mut buffer)?;
            write(&pair.master, &buffer[..count])?;
        }
    }
    stdout.flush()?;
    Ok(ExitCode::from(child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
