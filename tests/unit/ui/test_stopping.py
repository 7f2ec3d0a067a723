import os
import signal
import threading

import pytest

from storyloom.ui.stopping import Stop


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_interrupts_at_once(number: signal.Signals, code: int) -> None:
    with Stop() as stop, pytest.raises(KeyboardInterrupt, match=str(int(number))):
        os.kill(os.getpid(), number)
    assert stop.exit_code == code


def test_patience_turns_the_first_signal_into_a_request(capfd: pytest.CaptureFixture[str]) -> None:
    with Stop() as stop:
        stop.patient = True
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert "once more" in capfd.readouterr().err


def test_earlier_handlers_stand_again_afterwards() -> None:
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    with Stop():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_off_the_main_thread_it_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def use() -> None:
        with Stop() as stop:
            seen.append((signal.getsignal(signal.SIGINT), stop.asked))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [(before, None)]
