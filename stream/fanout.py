"""One stream to any number of readers, none of whom can hold up another."""

from collections.abc import Callable
from typing import Generic, TypeVar

from stream.errors import Busy
from stream.mailbox import Mailbox

T = TypeVar("T")


class Fanout(Generic[T]):
    """Puts each item into the latest-item mailbox of every reader.

    A slow reader loses items and never slows the others or the source; what is lost is counted, and
    told to on_drop.
    Everything is called on the event loop's thread.
    """

    def __init__(self, limit: int, on_drop: Callable[[], None] | None = None) -> None:
        self._limit = limit
        self._on_drop = on_drop
        self._mailboxes: list[Mailbox[T]] = []
        self._dropped_by_former = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._mailboxes)

    @property
    def dropped(self) -> int:
        """Items that readers had no time for, of those that have left too."""
        return self._dropped_by_former + sum(mailbox.dropped for mailbox in self._mailboxes)

    def watch(self) -> Mailbox[T]:
        """A mailbox for one more reader. Raises Busy."""
        if len(self._mailboxes) >= self._limit:
            raise Busy(f"{self._limit} watch already, which is all that may; try again later")
        mailbox: Mailbox[T] = Mailbox(on_drop=self._on_drop)
        if self._closed:
            mailbox.close()
        else:
            self._mailboxes.append(mailbox)
        return mailbox

    def unwatch(self, mailbox: Mailbox[T]) -> None:
        """Close a reader's mailbox; doing it again changes nothing."""
        mailbox.close()
        if mailbox in self._mailboxes:
            self._mailboxes.remove(mailbox)
            self._dropped_by_former += mailbox.dropped

    def put(self, item: T) -> bool:
        """Returns whether anybody was ready for it, having taken what came before."""
        is_taken = any(not mailbox for mailbox in self._mailboxes)
        for mailbox in self._mailboxes:
            mailbox.put(item)
        return is_taken

    def close(self) -> None:
        """Nothing more will come; every reader is told."""
        self._closed = True
        for mailbox in list(self._mailboxes):
            self.unwatch(mailbox)
