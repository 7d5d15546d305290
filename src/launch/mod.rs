//! Launching the child: in a pseudo-terminal, or with pipes. The only place with `unsafe`.
