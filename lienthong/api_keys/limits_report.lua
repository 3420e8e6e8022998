-- Tell this server what a gateway admitted alone, and where it has forgotten, what it had told before.
--
-- KEYS: members, place. ARGV: now (empty: this server's), slot, session, epoch that the gateway knows, unit, window in
--   microseconds, number admitted alone, reserve kept after it (-1: less by that number), used as last heard from
--   here, when that was (microseconds), the calendar period of both.
-- Answer: how many are counted now, and when that is; -1: not believed (an older session).
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local place, slot, unit, window = KEYS[2], ARGV[2], ARGV[5], tonumber(ARGV[6])
local alone, kept, seen, seen_at = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local is_lost = epoch ~= ARGV[4]
if not is_lost and redis.call('HGET', KEYS[1], 's:' .. slot) ~= ARGV[3] then return { -1, now } end
local stamp = string.format('%.0f', now)

local missing, used = 0, 0
-- What was heard longer ago than the window says nothing of it.
if is_lost and (unit == 'day' or unit == 'month' or seen_at > now - window) then
  local told = tonumber(redis.call('HGET', place .. ':r', 'past') or '0')
  missing = math.max(0, seen - told)
  if missing > 0 then redis.call('HSET', place .. ':r', 'past', seen) end
end

if unit == 'day' or unit == 'month' then
  if alone + missing > 0 then
    redis.call('HINCRBY', place, ARGV[11], alone + missing)
    redis.call('EXPIRE', place, 32 * 86400)
  end
  used = tonumber(redis.call('HGET', place, ARGV[11]) or '0')
else
  if missing > 0 then
    local oldest = redis.call('LINDEX', place, 0)
    local is_first = not oldest or seen_at <= tonumber(oldest)
    for _ = 1, missing do
      if is_first then
        redis.call('LPUSH', place, string.format('%.0f', math.min(seen_at, now)))
      else
        redis.call('RPUSH', place, stamp)
      end
    end
  end
  for _ = 1, alone do redis.call('RPUSH', place, stamp) end
  used = redis.call('LLEN', place)
  if used > 0 then redis.call('PEXPIRE', place, math.ceil(window / 1000)) end
end

local reserve = tonumber(redis.call('HGET', place .. ':r', slot) or '0')
local left = kept >= 0 and math.min(kept, reserve) or math.max(0, reserve - alone)
if left > 0 then
  redis.call('HSET', place .. ':r', slot, left)
else
  redis.call('HDEL', place .. ':r', slot)
end
return { used, now }
