"""What the Redis broker does, in Lua: each step is whole or not at all, by the server's own clock.

P:t:<id>         hash: s(tate) v(ersion) p(ayload) sub(mitted) dl (deadline) max att(empts) err ans by end hook note tries
                 tok(en) con(sumer) alone sus(pected)
P:ready:<label>  ids by submission        P:delayed   ids by when they are ready again
P:leased         ids by end of lease      P:deadlines ids of open tasks by deadline
P:dead           ids by end               P:hooks     ids by when their webhook is due
P:open           open tasks, a number     P:labels    versions that tasks are for
P:alive          label to end of its beat P:bell:<label>  wakes a worker
P:ended          state to how many ended
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
local P = KEYS[1]
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function T(id) return P .. ':t:' .. id end
local function ready(id, label, sub)
  call('ZADD', P .. ':ready:' .. label, sub, id)
  call('SADD', P .. ':labels', label)
  local bell = P .. ':bell:' .. label
  if call('LLEN', bell) < 64 then call('RPUSH', bell, '1') call('EXPIRE', bell, 60) end
end
local function over(id, state, keep)
  local f = call('HMGET', T(id), 'v', 'hook')
  call('ZREM', P .. ':leased', id)
  call('ZREM', P .. ':delayed', id)
  call('ZREM', P .. ':deadlines', id)
  call('ZREM', P .. ':ready:' .. f[1], id)
  call('DECR', P .. ':open')
  call('HINCRBY', P .. ':ended', state, 1)
  call('HSET', T(id), 's', state, 'end', now)
  call('HDEL', T(id), 'tok', 'con')
  call('EXPIRE', T(id), keep)
  if f[2] and f[2] ~= '' then call('ZADD', P .. ':hooks', now, id) end
end
local function bury(id, err, keep)
  call('HSET', T(id), 'err', err)
  over(id, 'failed', keep)
  call('ZADD', P .. ':dead', now, id)
end
local function back(id)
  local f = call('HMGET', T(id), 'v', 'sub')
  call('ZREM', P .. ':leased', id)
  call('HSET', T(id), 's', 'waiting')
  call('HDEL', T(id), 'tok', 'con')
  ready(id, f[1], f[2])
end
local function lost(id, why, keep)
  local f = call('HMGET', T(id), 's', 'alone', 'att', 'max')
  if f[1] ~= 'running' then call('ZREM', P .. ':leased', id) return end
  if f[2] == '1' then
    local att = tonumber(f[3]) + 1
    call('HSET', T(id), 'att', att, 'err', why)
    if att >= tonumber(f[4]) then bury(id, why, keep) return end
  end
  call('HSET', T(id), 'sus', '1')
  back(id)
end
"""

SUBMIT: Final = (
    _COMMON
    + """
-- id version payload deadline max_attempts webhook max_open
local id = ARGV[1]
local f = call('HMGET', T(id), 's', 'p')
if f[1] then
  if f[2] ~= ARGV[3] then return 'conflict' end
  return f[1]
end
if tonumber(call('GET', P .. ':open') or '0') >= tonumber(ARGV[7]) then return 'full' end
call('HSET', T(id), 's', 'waiting', 'v', ARGV[2], 'p', ARGV[3], 'sub', now, 'dl', ARGV[4], 'max', ARGV[5], 'att', '0',
  'hook', ARGV[6], 'tries', '0')
call('ZADD', P .. ':deadlines', ARGV[4], id)
call('INCR', P .. ':open')
ready(id, ARGV[2], now)
return 'waiting'
"""
)

LEASE: Final = (
    _COMMON
    + """
-- consumer token most seconds lost_text late_text dead_keep labels...
local most, until_, keep = tonumber(ARGV[3]), now + tonumber(ARGV[4]), tonumber(ARGV[7])
for _, id in ipairs(call('ZRANGEBYSCORE', P .. ':leased', '-inf', now, 'LIMIT', 0, 200)) do lost(id, ARGV[5], keep) end
for _, id in ipairs(call('ZRANGEBYSCORE', P .. ':delayed', '-inf', now, 'LIMIT', 0, 200)) do
  call('ZREM', P .. ':delayed', id)
  back(id)
end
local got, ids, full = {}, {}, false
for n = 8, #ARGV do
  local key = P .. ':ready:' .. ARGV[n]
  while #ids < most and not full do
    local popped = call('ZPOPMIN', key)
    if #popped == 0 then break end
    local id = popped[1]
    local f = call('HMGET', T(id), 's', 'p', 'att', 'dl', 'v', 'sus')
    if f[1] == 'waiting' then
      if tonumber(f[4]) <= now then bury(id, ARGV[6], keep)
      elseif f[6] == '1' and #ids > 0 then
        call('ZADD', key, popped[2], id)
        full = true
      else
        ids[#ids + 1] = id
        got[#got + 1] = {id, f[2], f[3], f[4], f[5]}
        full = f[6] == '1'
      end
    end
  end
end
local alone = #ids == 1 and '1' or '0'
for _, id in ipairs(ids) do
  call('HSET', T(id), 's', 'running', 'con', ARGV[1], 'tok', ARGV[2], 'alone', alone)
  call('ZADD', P .. ':leased', until_, id)
end
return got
"""
)

RENEW: Final = (
    _COMMON
    + """
-- seconds (id token)...
local gone = {}
for n = 2, #ARGV, 2 do
  local f = call('HMGET', T(ARGV[n]), 's', 'tok')
  if f[1] == 'running' and f[2] == ARGV[n + 1] then call('ZADD', P .. ':leased', now + tonumber(ARGV[1]), ARGV[n])
  else gone[#gone + 1] = ARGV[n] end
end
return gone
"""
)

SETTLE: Final = (
    _COMMON
    + """
-- result_keep dead_keep (kind id token text by_or_delay)...
local told = {}
for n = 3, #ARGV, 5 do
  local kind, id, token, text, more = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3], ARGV[n + 4]
  local f = call('HMGET', T(id), 's', 'tok', 'att', 'max')
  local stands = 0
  if kind == 'answered' then
    if f[1] == 'running' or f[1] == 'waiting' then
      call('HSET', T(id), 'ans', text, 'by', more, 'att', tonumber(f[3]) + 1)
      over(id, 'succeeded', ARGV[1])
      stands = 1
    end
  elseif f[1] == 'running' and f[2] == token then
    stands = 1
    if kind == 'returned' then back(id)
    else
      local att = tonumber(f[3]) + 1
      call('HSET', T(id), 'att', att, 'err', text)
      if more == '' or att >= tonumber(f[4]) then bury(id, text, ARGV[2])
      else
        call('ZREM', P .. ':leased', id)
        call('HSET', T(id), 's', 'waiting')
        call('HDEL', T(id), 'tok', 'con')
        call('ZADD', P .. ':delayed', now + tonumber(more), id)
      end
    end
  end
  told[#told + 1] = stands
end
return told
"""
)

ABANDON: Final = (
    _COMMON
    + """
-- consumer blame lost_text dead_keep
local count = 0
for _, id in ipairs(call('ZRANGE', P .. ':leased', 0, -1)) do
  if call('HGET', T(id), 'con') == ARGV[1] then
    count = count + 1
    if ARGV[2] == '1' then lost(id, ARGV[3], tonumber(ARGV[4])) else back(id) end
  end
end
return count
"""
)

CANCEL: Final = (
    _COMMON
    + """
-- id keep
local s = call('HGET', T(ARGV[1]), 's')
if s == 'waiting' or s == 'running' then over(ARGV[1], 'cancelled', ARGV[2]) end
return s
"""
)

BEAT: Final = (
    _COMMON
    + """
-- label seconds
call('HSET', P .. ':alive', ARGV[1], now + tonumber(ARGV[2]))
return 1
"""
)

LABELS: Final = (
    _COMMON
    + """
-- grace: labels without workers for so long; empty: those with workers
local told = {}
if ARGV[1] == '' then
  local alive = call('HGETALL', P .. ':alive')
  for n = 1, #alive, 2 do if tonumber(alive[n + 1]) > now then told[#told + 1] = alive[n] end end
  return told
end
for _, label in ipairs(call('SMEMBERS', P .. ':labels')) do
  if tonumber(call('HGET', P .. ':alive', label) or '0') + tonumber(ARGV[1]) < now then told[#told + 1] = label end
end
return told
"""
)

DEPTH: Final = (
    _COMMON
    + """
local labels = call('SMEMBERS', P .. ':labels')
local oldest, waiting = '', {}
for _, label in ipairs(labels) do
  waiting[#waiting + 1] = call('ZCARD', P .. ':ready:' .. label)
  local first = call('ZRANGE', P .. ':ready:' .. label, 0, 0, 'WITHSCORES')
  if #first > 0 and (oldest == '' or tonumber(first[2]) < tonumber(oldest)) then oldest = first[2] end
end
local age = oldest == '' and '' or tostring(now - tonumber(oldest))
return {tonumber(call('GET', P .. ':open') or '0'), call('ZCARD', P .. ':leased'), call('ZCARD', P .. ':dead'), age, labels,
  call('HGETALL', P .. ':ended'), waiting}
"""
)

REVIVE: Final = (
    _COMMON
    + """
-- id deadline
local f = call('HMGET', T(ARGV[1]), 's', 'v', 'sub')
if f[1] ~= 'failed' then return 0 end
call('ZREM', P .. ':dead', ARGV[1])
call('PERSIST', T(ARGV[1]))
call('HSET', T(ARGV[1]), 's', 'waiting', 'att', '0', 'dl', ARGV[2], 'sus', '0', 'err', '', 'tries', '0', 'note', '')
call('HDEL', T(ARGV[1]), 'end')
call('ZREM', P .. ':hooks', ARGV[1])
call('ZADD', P .. ':deadlines', ARGV[2], ARGV[1])
call('INCR', P .. ':open')
ready(ARGV[1], f[2], f[3])
return 1
"""
)

HOOKS: Final = (
    _COMMON
    + """
-- most seconds
local ids = call('ZRANGEBYSCORE', P .. ':hooks', '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  if call('EXISTS', T(id)) == 1 then call('ZADD', P .. ':hooks', now + tonumber(ARGV[2]), id)
  else call('ZREM', P .. ':hooks', id) end
end
return ids
"""
)

NOTE_HOOK: Final = (
    _COMMON
    + """
-- id note again_after
if call('EXISTS', T(ARGV[1])) == 0 then call('ZREM', P .. ':hooks', ARGV[1]) return 0 end
call('HSET', T(ARGV[1]), 'note', ARGV[2])
if ARGV[3] == '' then call('ZREM', P .. ':hooks', ARGV[1])
else
  call('HINCRBY', T(ARGV[1]), 'tries', 1)
  call('ZADD', P .. ':hooks', now + tonumber(ARGV[3]), ARGV[1])
end
return 1
"""
)

SWEEP: Final = (
    _COMMON
    + """
-- late_text dead_keep
for _, id in ipairs(call('ZRANGEBYSCORE', P .. ':deadlines', '-inf', now, 'LIMIT', 0, 500)) do
  if call('HGET', T(id), 's') == 'waiting' then bury(id, ARGV[1], ARGV[2]) end
end
call('ZREMRANGEBYSCORE', P .. ':dead', '-inf', now - tonumber(ARGV[2]))
for _, label in ipairs(call('SMEMBERS', P .. ':labels')) do
  local seen = tonumber(call('HGET', P .. ':alive', label) or '0')
  if seen + 3600 < now and call('ZCARD', P .. ':ready:' .. label) == 0 then
    call('SREM', P .. ':labels', label)
    call('HDEL', P .. ':alive', label)
  end
end
return 1
"""
)
