//! Valid streams of frames and request heads to spoil.

/// What means something among frames: heads of all kinds and lengths of all forms.
pub(crate) const FRAME_TOKENS: &[&[u8]] = &[
    b"\x81\x80\0\0\0\0",
    b"\x01\x80\0\0\0\0",
    b"\x80\x80\0\0\0\0",
    b"\x89\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x88\x81\0\0\0\0\x03",
    b"\x82\xfe\0\x7d",
    b"\x82\xff\x80\0\0\0\0\0\0\x01",
    b"\xc1\x80\0\0\0\0",
    b"\x82\x01x",
    b"\xed\xa0\x80",
];

/// What means something in a request's head.
pub(crate) const HEAD_TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b":",
    b"\t",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 1\r\n",
    b"Host: b\r\n",
    b"Upgrade: websocket\r\n",
    b"Sec-WebSocket-Version: 12\r\n",
    b"Sec-WebSocket-Protocol: a,b\r\n",
    b"\xff",
];

/// A client's frame; the first byte has the final bit and the opcode.
fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let mask = [0x12, 0x34, 0x56, 0x78];
    out.extend([first, 0x80 | payload.len() as u8]);
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Valid streams of frames, short, so that a change meets something that matters.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let scripts: [&[(u8, &[u8])]; 7] = [
        &[(0x81, b"hi \xe2\x82\xac"), (0x89, b"")],
        &[(0x82, b"\x00\xff"), (0x82, b""), (0x8a, b"x")],
        &[(0x01, b"\xf0\x9f"), (0x89, b"p"), (0x80, b"\x98\x80")],
        &[(0x02, b"a"), (0x00, b""), (0x80, b"bc")],
        &[(0x82, b"ok"), (0x88, b"\x03\xe8bye"), (0x82, b"late")],
        &[(0x88, b"")],
        &[(0x02, &[7; 40]), (0x80, &[7; 8])],
    ];
    let mut streams = Vec::new();
    for script in scripts {
        let mut stream = Vec::new();
        for (first, payload) in script {
            frame(&mut stream, *first, payload);
        }
        streams.push(stream);
    }
    // The longer forms of a length, the second one beyond the limit.
    streams.push([&[0x82, 0xfe, 0, 126, 0, 0, 0, 0][..], &[5; 4]].concat());
    streams.push([&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4][..], &[5; 4]].concat());
    streams
}

/// Valid request heads.
pub(crate) fn heads() -> Vec<Vec<u8>> {
    [
        "GET /?q HTTP/1.1\r\nHost:a\r\nConnection:Upgrade\r\nUpgrade:websocket\r\nSec-WebSocket-Version:13\r\n\
         Sec-WebSocket-Key:AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\nConnection:keep-alive, Upgrade\r\nUpgrade:WebSocket\r\nSec-WebSocket-Version:13\r\n\
         Sec-WebSocket-Key:AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Protocol:switchyard.v1.proto, bearer.a.b\r\n\
         X-Forwarded-For:b\r\nX-Forwarded-For:c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost:a\r\nContent-Length:1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\nOrigin:b\r\nAuthorization:Bearer c\r\n\r\n",
        "GET a://b/ HTTP/1.1\r\nHost:a\r\nCookie:c\r\nCookie:d\r\n\r\n",
    ]
    .map(|head| head.as_bytes().to_vec())
    .to_vec()
}
