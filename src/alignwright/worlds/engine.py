"""Which move does a small but sound chess engine choose? Negamax with alpha-beta pruning.

Negamax with alpha-beta pruning to a fixed depth, then captures until the position is quiet; a
position is worth its material in pawns, a little for mobility, and a little for driving a lone king
to the edge. Captures of the most by the least come first. Deterministic: of equally good moves the
first by name. Left out on purpose: hash tables, openings, time.
"""

from __future__ import annotations

from functools import lru_cache

import chess

MATE = 1000.0
WORTH = {chess.PAWN: 1.0, chess.KNIGHT: 3.0, chess.BISHOP: 3.2, chess.ROOK: 5.0, chess.QUEEN: 9.0, chess.KING: 0.0}
MOBILITY, EDGE = 0.02, 0.1
MOST = 5000


@lru_cache(maxsize=50_000)
def best_move(fen: str, depth: int = 2) -> tuple[str, float]:
    """The best move (UCI) for the side to move and what it is worth to it, in pawns. ValueError
    where the game is over."""
    board = chess.Board(fen)
    if board.is_game_over():
        raise ValueError(f"no move to choose: the game is over in {fen!r}")
    best, chosen, search = -2 * MATE, "", _Search(board)
    for move in _ordered(board):
        board.push(move)
        worth = -search.deep(depth - 1, -2 * MATE, -best)
        board.pop()
        if worth > best:
            best, chosen = worth, move.uci()
    return chosen, best


def worth(board: chess.Board) -> float:
    """Material, mobility and the lone king's place, in pawns, for the side to move."""
    mine, theirs = _material(board, board.turn), _material(board, not board.turn)
    value = mine - theirs + MOBILITY * board.legal_moves.count()
    for side, sign in ((board.turn, -1), (not board.turn, 1)):
        if not board.occupied_co[side] & ~board.kings:
            value += sign * EDGE * _edge_bonus(board, side)
    return value


def material(board: chess.Board, side: chess.Color) -> float:
    """The material of one side less that of the other, in pawns."""
    return _material(board, side) - _material(board, not side)


class _Search:
    """One search. Whoever can write any position can write one whose captures never end: after
    `MOST` positions none is looked into further."""

    def __init__(self, board: chess.Board) -> None:
        self.board, self.positions = board, 0

    def deep(self, depth: int, low: float, high: float) -> float:
        """To a fixed depth."""
        board = self.board
        if board.is_checkmate():
            return -MATE - depth  # the sooner, the worse for whoever is mated
        if board.is_stalemate() or board.is_insufficient_material():
            return 0.0
        if depth <= 0:
            return self.quiet(low, high)
        for move in _ordered(board):
            board.push(move)
            value = -self.deep(depth - 1, -high, -low)
            board.pop()
            low = max(low, value)
            if low >= high:
                break
        return low

    def quiet(self, low: float, high: float) -> float:
        """Captures only, each side free to stop."""
        self.positions += 1
        low = max(low, worth(self.board))
        if self.positions > MOST:
            return low
        for move in sorted(self.board.generate_legal_captures(), key=lambda m: _order(self.board, m)):
            if low >= high:
                break
            self.board.push(move)
            low = max(low, -self.quiet(-high, -low))
            self.board.pop()
        return low


def _ordered(board: chess.Board) -> list[chess.Move]:
    return sorted(board.legal_moves, key=lambda m: _order(board, m))


def _order(board: chess.Board, move: chess.Move) -> tuple[float, str]:
    victim, attacker = board.piece_type_at(move.to_square), board.piece_type_at(move.from_square)
    gain = 10 * WORTH[victim] - WORTH[attacker] if victim and attacker else 0.0
    return -gain - (9.0 if move.promotion == chess.QUEEN else 0.0), move.uci()


def _material(board: chess.Board, side: chess.Color) -> float:
    return sum(value * chess.popcount(board.pieces_mask(kind, side)) for kind, value in WORTH.items())


def _edge_bonus(board: chess.Board, side: chess.Color) -> float:
    """How far a lone king is from the middle, and how near the other king is."""
    king, other = board.king(side), board.king(not side)
    if king is None or other is None:
        return 0.0
    file, rank = chess.square_file(king), chess.square_rank(king)
    return abs(file - 3.5) + abs(rank - 3.5) - 0.5 * chess.square_distance(king, other)
