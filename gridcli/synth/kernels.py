"""Kernels of the fleet profile: routes over the lattice of streets, and the drive along them.

Arrays that several kernels share have one row an attribute (`ROUTE_…`, `FIX_…`) or one element a
quantity (`CLOCK_…`, `RECEIVER_…`, `ROADS_…`). Lengths are metres, times seconds, speeds m/s.
"""

from __future__ import annotations

import math

import numpy as np

from gridcli.runtime.jit import kernel, part
from gridcli.synth.parameters import METRES_PER_DEGREE

STREET_MPS, ARTERY_MPS, HIGHWAY_MPS, YARD_MPS = 9.0, 16.0, 28.0, 4.0
TURN_MPS = 5.0
TURN_COSINE = 0.8
ACCELERATION, BRAKING = 1.5, 2.0  # m/s^2
SLOWEST_MPS = 1.0
TICK_S = 1.0
KEEP_STRAIGHT = 0.8
STOP_AT_LIGHT = 0.5
MIN_QUEUE_M, MAX_QUEUE_M = 5.0, 30.0
LANE_M = 2.5
STANDING_MPS = 0.17
STANDING_HEADING_SIGMA = 3.0
RADIAN = math.pi / 180.0

NODE_KEY = 1 << 24
"""Node (i, j) of the lattice has the key ``i * NODE_KEY + j``."""

ROUTE_X, ROUTE_Y, ROUTE_CAP, ROUTE_PACE, ROUTE_WAIT, ROUTE_HUB = range(6)
"""Vertices of a route: place, greatest speed there and on the way to the next, wait, at a hub."""
ROUTE_ROWS = 6

FIX_TIME_MS, FIX_LAT, FIX_LON, FIX_SPEED_KMH, FIX_HEADING, FIX_HUB = range(6)
"""Fixes; the hub at which the vehicle stands, or -1, is written to no file."""
FIX_ROWS = 6

CLOCK_TIME, CLOCK_NEXT_FIX, CLOCK_ERROR_X, CLOCK_ERROR_Y, CLOCK_LAST_FIX = range(5)
"""A vehicle's state: seconds since the first day, and the present error of its receiver."""
CLOCK_SIZE = 5

(
    RECEIVER_INTERVAL,
    RECEIVER_PARKED_AFTER,
    RECEIVER_PARKED_INTERVAL,
    RECEIVER_NOISE_M,
    RECEIVER_NOISE_S,
    RECEIVER_LATITUDE,
    RECEIVER_LONGITUDE,
) = range(7)

ROADS_STREET_M, ROADS_ARTERY, ROADS_HIGHWAY, ROADS_LIGHT_S, ROADS_LIGHT_SIGMA = range(5)

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
SHIFT_30, SHIFT_27, SHIFT_31, SHIFT_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@part
def _uniform(rng):
    """Next random number in [0, 1) (splitmix64)."""
    rng[0] += GOLDEN
    word = rng[0]
    word = (word ^ (word >> SHIFT_30)) * MIX_1
    word = (word ^ (word >> SHIFT_27)) * MIX_2
    word ^= word >> SHIFT_31
    return float(word >> SHIFT_11) * 2.0**-53


@part
def _normal(rng):
    """Next standard normal number (Box and Muller)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(rng)))
    return radius * math.cos(2.0 * math.pi * _uniform(rng))


@part
def _nearest(value, stride):
    """Multiple of `stride` nearest to an integer."""
    return (value + stride // 2) // stride * stride


@part
def _light_at(key, light_key):
    """Position of `key` in the sorted keys of traffic lights, or -1."""
    low, high = 0, light_key.shape[0]
    while low < high:
        middle = (low + high) // 2
        if light_key[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < light_key.shape[0] and light_key[low] == key else -1


@part
def _add_vertex(route, n, x, y, pace):
    """Append a vertex that is reached at `pace`; return the number of vertices."""
    route[ROUTE_X, n] = x
    route[ROUTE_Y, n] = y
    route[ROUTE_WAIT, n] = 0.0
    route[ROUTE_HUB, n] = -1.0
    if n > 0:
        route[ROUTE_PACE, n - 1] = pace
    return n + 1


@part
def _add_node(route, n, i, j, pace, roads, waves, light_key, light_hub, rng):
    """Append lattice node (i, j), and a wait before it if it has a traffic light at red."""
    flat_x = i * roads[ROADS_STREET_M]
    flat_y = j * roads[ROADS_STREET_M]
    x = flat_x
    y = flat_y
    for w in range(waves.shape[0]):
        swing = math.sin(waves[w, 0] * flat_x + waves[w, 1] * flat_y + waves[w, 2])
        x += waves[w, 3] * swing
        y += waves[w, 4] * swing
    light = _light_at(i * NODE_KEY + j, light_key)
    if light >= 0 and _uniform(rng) < STOP_AT_LIGHT:
        dx = x - route[ROUTE_X, n - 1]
        dy = y - route[ROUTE_Y, n - 1]
        length = math.sqrt(dx * dx + dy * dy)
        queue = MIN_QUEUE_M + (MAX_QUEUE_M - MIN_QUEUE_M) * _uniform(rng) ** 2
        if length > 2.0 * queue:
            n = _add_vertex(route, n, x - dx / length * queue, y - dy / length * queue, pace)
            spread = math.exp(roads[ROADS_LIGHT_SIGMA] * _normal(rng))
            route[ROUTE_WAIT, n - 1] = roads[ROADS_LIGHT_S] * spread
            route[ROUTE_HUB, n - 1] = light_hub[light]
    return _add_vertex(route, n, x, y, pace)


@part
def _add_staircase(route, n, at, to_i, to_j, stride, pace, roads, waves, light_key, light_hub, rng):
    """Append a random shortest way over every `stride`-th street; node `at` moves to its end."""
    vertical = _uniform(rng) < 0.5
    while at[0] != to_i or at[1] != to_j:
        left_x = abs(to_i - at[0])
        left_y = abs(to_j - at[1])
        if _uniform(rng) > KEEP_STRAIGHT:
            vertical = _uniform(rng) * (left_x + left_y) < left_y
        if left_x == 0:
            vertical = True
        elif left_y == 0:
            vertical = False
        axis = 1 if vertical else 0
        goal = to_j if vertical else to_i
        step = 1 if goal > at[axis] else -1
        for _ in range(stride):
            at[axis] += step
            n = _add_node(route, n, at[0], at[1], pace, roads, waves, light_key, light_hub, rng)
    return n


@part
def _limit_speeds(route, n):
    """Set the greatest speed at each vertex: slow in turns, zero at stops, able to brake."""
    route[ROUTE_CAP, 0] = 0.0
    route[ROUTE_CAP, n - 1] = 0.0
    for k in range(n - 2, 0, -1):
        in_x = route[ROUTE_X, k] - route[ROUTE_X, k - 1]
        in_y = route[ROUTE_Y, k] - route[ROUTE_Y, k - 1]
        out_x = route[ROUTE_X, k + 1] - route[ROUTE_X, k]
        out_y = route[ROUTE_Y, k + 1] - route[ROUTE_Y, k]
        out_length = math.sqrt(out_x * out_x + out_y * out_y)
        lengths = math.sqrt(in_x * in_x + in_y * in_y) * out_length
        cap = min(route[ROUTE_PACE, k - 1], route[ROUTE_PACE, k])
        if in_x * out_x + in_y * out_y < TURN_COSINE * lengths:
            cap = min(cap, TURN_MPS)
        if route[ROUTE_WAIT, k] > 0.0:
            cap = 0.0
        after = route[ROUTE_CAP, k + 1]
        route[ROUTE_CAP, k] = min(cap, math.sqrt(after * after + 2.0 * BRAKING * out_length))


@kernel(
    "float64[:,:], float64[:,:], int64[:,:], float64[:], float64[:,:], int64[:], int64[:], "
    "uint64[:] -> int64"
)
def find_route(route, places, nodes, roads, waves, light_key, light_hub, rng):
    """Find a way from one hub to another: streets, then arteries and highways if it is long.

    Parameters
    ----------
    route : float64 (ROUTE_ROWS, n), output
        With room for two vertices a street on the way.
    places : float64 (4, 2)
        x and y: where the vehicle stands, its access to the street; access and place at the end.
    nodes : int64 (2, 2)
        Lattice nodes at which the two hubs' streets begin; the first is overwritten.
    roads : float64, `ROADS_…`
    waves : float64 (n_waves, 5)
        As `gridcli.synth.places.Country`.
    light_key, light_hub : int64 (n_lights,)
        Sorted node keys of the traffic lights, and their hubs.
    rng : uint64 (1,)
        Random state, advanced.

    Returns
    -------
    n : number of vertices
    """
    artery = int(roads[ROADS_ARTERY])
    highway = int(roads[ROADS_HIGHWAY])
    at = nodes[0]
    i, j = nodes[1, 0], nodes[1, 1]
    n = _add_vertex(route, 0, places[0, 0], places[0, 1], YARD_MPS)
    n = _add_vertex(route, n, places[1, 0], places[1, 1], YARD_MPS)
    n = _add_node(route, n, at[0], at[1], STREET_MPS, roads, waves, light_key, light_hub, rng)
    distance = max(abs(i - at[0]), abs(j - at[1]))
    for leg in range(5):  # up to arteries, up to highways, along, down, down
        stride, pace = 1, STREET_MPS
        to_i, to_j = i, j
        if leg == 0:
            to_i, to_j = _nearest(at[0], artery), _nearest(at[1], artery)
        elif leg == 1:
            stride, pace = artery, ARTERY_MPS
            to_i, to_j = _nearest(at[0], highway), _nearest(at[1], highway)
        elif leg == 2:
            stride, pace = highway, HIGHWAY_MPS
            to_i, to_j = _nearest(i, highway), _nearest(j, highway)
        elif leg == 3:
            stride, pace = artery, ARTERY_MPS
            to_i, to_j = _nearest(i, artery), _nearest(j, artery)
        too_near = distance <= 2 * highway if leg in (1, 2) else distance <= 2 * artery
        if leg < 4 and too_near:
            continue
        n = _add_staircase(
            route, n, at, to_i, to_j, stride, pace, roads, waves, light_key, light_hub, rng
        )
    n = _add_vertex(route, n, places[2, 0], places[2, 1], STREET_MPS)
    n = _add_vertex(route, n, places[3, 0], places[3, 1], YARD_MPS)
    _limit_speeds(route, n)
    return n


@part
def _write_fix(fixes, at, receiver, clock, rng, x, y, speed_mps, heading, hub):
    """Write fix `at`: the position with the receiver's error, as a receiver prints it."""
    elapsed = clock[CLOCK_TIME] - clock[CLOCK_LAST_FIX]
    kept = math.exp(-elapsed / receiver[RECEIVER_NOISE_S])
    fresh = receiver[RECEIVER_NOISE_M] * math.sqrt(1.0 - kept * kept)
    radius = fresh * math.sqrt(-2.0 * math.log(1.0 - _uniform(rng)))
    angle = 2.0 * math.pi * _uniform(rng)
    clock[CLOCK_ERROR_X] = kept * clock[CLOCK_ERROR_X] + radius * math.cos(angle)
    clock[CLOCK_ERROR_Y] = kept * clock[CLOCK_ERROR_Y] + radius * math.sin(angle)
    clock[CLOCK_LAST_FIX] = clock[CLOCK_TIME]
    lat = receiver[RECEIVER_LATITUDE] + (y + clock[CLOCK_ERROR_Y]) / METRES_PER_DEGREE
    metres_per_degree = METRES_PER_DEGREE * math.cos(lat * RADIAN)
    lon = receiver[RECEIVER_LONGITUDE] + (x + clock[CLOCK_ERROR_X]) / metres_per_degree
    heading = math.floor(heading + 0.5)
    fixes[FIX_TIME_MS, at] = math.floor(clock[CLOCK_TIME] * 1000.0 + 0.5)
    fixes[FIX_LAT, at] = math.floor(lat * 1e6 + 0.5) / 1e6
    fixes[FIX_LON, at] = math.floor(lon * 1e6 + 0.5) / 1e6
    fixes[FIX_SPEED_KMH, at] = math.floor(speed_mps * 36.0 + 0.5) / 10.0
    fixes[FIX_HEADING, at] = heading - 360.0 * math.floor(heading / 360.0)
    fixes[FIX_HUB, at] = hub


@part
def _stand(fixes, at, limit, receiver, clock, rng, x, y, heading, wait, hub):
    """Write the fixes of a stay; return the next row."""
    since = clock[CLOCK_TIME]
    until = since + wait
    while clock[CLOCK_NEXT_FIX] < until and at < limit:
        clock[CLOCK_TIME] = max(clock[CLOCK_TIME], clock[CLOCK_NEXT_FIX])
        jitter = STANDING_HEADING_SIGMA * _normal(rng)
        speed = abs(STANDING_MPS * _normal(rng))
        _write_fix(fixes, at, receiver, clock, rng, x, y, speed, heading + jitter, hub)
        at += 1
        parked = clock[CLOCK_TIME] - since > receiver[RECEIVER_PARKED_AFTER]
        interval = receiver[RECEIVER_PARKED_INTERVAL] if parked else receiver[RECEIVER_INTERVAL]
        clock[CLOCK_NEXT_FIX] = clock[CLOCK_TIME] + interval
    clock[CLOCK_TIME] = until
    soon = until + receiver[RECEIVER_INTERVAL]
    clock[CLOCK_NEXT_FIX] = min(clock[CLOCK_NEXT_FIX], soon)
    return at


@kernel(
    "float64[:,:], int64, int64, float64[:], float64[:], uint64[:], float64[:], float64, int64 "
    "-> int64"
)
def stand(fixes, at, limit, receiver, clock, rng, place, wait, hub):
    """Write the fixes of a stay at a hub.

    Parameters
    ----------
    fixes : float64 (FIX_ROWS, n), output
    at, limit : int
        First row to write, and the first that may not be written: there the stay stops short.
    receiver : float64, `RECEIVER_…`
    clock : float64 (CLOCK_SIZE,), `CLOCK_…`
        Advanced, like `rng`.
    rng : uint64 (1,)
    place : float64 (3,)
        x, y, and heading in degrees.
    wait : float
    hub : int

    Returns
    -------
    at : the next row
    """
    return _stand(fixes, at, limit, receiver, clock, rng, place[0], place[1], place[2], wait, hub)


@kernel(
    "float64[:,:], int64, int64, float64[:], float64[:], uint64[:], float64[:,:], int64 -> int64"
)
def drive(fixes, at, limit, receiver, clock, rng, route, n):
    """Write the fixes of a drive along the `n` vertices of a route; otherwise as `stand`.

    Returns
    -------
    at : the next row
    """
    speed = 0.0
    done = 0.0
    for k in range(n - 1):
        dx = route[ROUTE_X, k + 1] - route[ROUTE_X, k]
        dy = route[ROUTE_Y, k + 1] - route[ROUTE_Y, k]
        length = math.sqrt(dx * dx + dy * dy)
        if length == 0.0:
            continue
        dx /= length
        dy /= length
        heading = math.atan2(dx, dy) / RADIAN
        cap = route[ROUTE_CAP, k + 1]
        while done < length:
            to_brake = math.sqrt(cap * cap + 2.0 * BRAKING * (length - done))
            speed = min(speed + ACCELERATION * TICK_S, route[ROUTE_PACE, k], to_brake)
            speed = max(speed, SLOWEST_MPS)
            done += speed * TICK_S
            clock[CLOCK_TIME] += TICK_S
            if clock[CLOCK_TIME] >= clock[CLOCK_NEXT_FIX]:
                if at >= limit:
                    return at
                on = min(done, length)
                x = route[ROUTE_X, k] + on * dx + LANE_M * dy
                y = route[ROUTE_Y, k] + on * dy - LANE_M * dx
                _write_fix(fixes, at, receiver, clock, rng, x, y, speed, heading, -1)
                at += 1
                clock[CLOCK_NEXT_FIX] = clock[CLOCK_TIME] + receiver[RECEIVER_INTERVAL]
        done -= length
        if route[ROUTE_WAIT, k + 1] > 0.0:
            x = route[ROUTE_X, k + 1] + LANE_M * dy
            y = route[ROUTE_Y, k + 1] - LANE_M * dx
            wait = route[ROUTE_WAIT, k + 1]
            hub = int(route[ROUTE_HUB, k + 1])
            at = _stand(fixes, at, limit, receiver, clock, rng, x, y, heading, wait, hub)
            speed = 0.0
            done = 0.0
    return at
