//! Terminates clients: WebSocket, sessions, local fan-out.
