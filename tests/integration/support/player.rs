//! A web player that knows nothing of us: an offer, an answer, and no more, as many WHEP players are.

/// Defines `window.play(url, configuration)`, which answers the description that the node wrote; then
/// `window.pc` is the connection and `window.frames_()` tells how many pictures were shown.
pub(crate) const PLAIN_PLAYER: &str = r"
    window.play = async (url, configuration) => {
        const pc = new RTCPeerConnection(configuration);
        window.pc = pc;
        pc.addTransceiver('audio', { direction: 'recvonly' });
        pc.addTransceiver('video', { direction: 'recvonly' });
        const video = document.createElement('video');
        video.muted = true; video.autoplay = true; document.body.append(video);
        const stream = new MediaStream();
        pc.ontrack = ({ track }) => { stream.addTrack(track); video.srcObject = stream; };
        await pc.setLocalDescription();
        const answer = await fetch(url, {
            method: 'POST', body: pc.localDescription.sdp, headers: { 'Content-Type': 'application/sdp' },
        });
        const sdp = await answer.text();
        if (answer.status !== 201) throw new Error(sdp);
        await pc.setRemoteDescription({ type: 'answer', sdp });
        window.frames_ = () => video.getVideoPlaybackQuality().totalVideoFrames;
        return sdp;
    };
    undefined
";
