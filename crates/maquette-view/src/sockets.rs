//! What consoles and screens share: how a web socket is ended.

use axum::extract::ws::{CloseFrame, Message, WebSocket};

/// Ends a web socket with the reason, as far as one has room for it.
pub async fn told(socket: &mut WebSocket, why: &str) {
    const ROOM: usize = 120;
    let end = (0..=ROOM.min(why.len())).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
    let frame = CloseFrame { code: 1000, reason: why[..end].into() };
    // A browser that has gone needs to be told nothing.
    let _ = socket.send(Message::Close(Some(frame))).await;
}
