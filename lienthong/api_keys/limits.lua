-- Decide all limits of one request in one step, on this server's clock: taken from all of them, or from none.
--
-- A gateway may hold a reserve of a limit (place:r): so many requests it may admit alone, should it lose this server.
-- Always: counted here + all reserves + the shares of the gateways that are away <= the maximum.
--
-- KEYS: members; then one hash for each cap in flight; then where each limit is counted.
-- ARGV: now in microseconds (empty: this server's), slot (-1: none), session, gateways, epoch, number of caps;
--   cap, own in flight, for each cap; unit, quota, window in microseconds, whether a reserve may be spent, for each limit.
-- Answer: 1 admitted, 0 refused, -1 unknown here; now; whether reserves were called back; which cap refused (0: none);
--   then for each limit: used, microseconds until a place is free (0: is free), until it resets, own reserve.
local VIETNAM_S = 7 * 3600 -- no summer time
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local slot, gateways, caps = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[6])

local function table_of(place)
  local flat, found = redis.call('HGETALL', place), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

-- Days since 1970 to year and month, and back for the first of a month (proleptic Gregorian calendar).
local function year_and_month(days)
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local in_era = shifted - era * 146097
  local year_in_era = math.floor((in_era - math.floor(in_era / 1460) + math.floor(in_era / 36524)
    - math.floor(in_era / 146096)) / 365)
  local in_year = in_era - (365 * year_in_era + math.floor(year_in_era / 4) - math.floor(year_in_era / 100))
  local month = (math.floor((5 * in_year + 2) / 153) + 2) % 12 + 1
  return year_in_era + era * 400 + (month <= 2 and 1 or 0), month
end

local function first_day_of(year, month)
  if month > 12 then year, month = year + 1, month - 12 end
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_in_era = year - era * 400
  local in_year = math.floor((153 * ((month + 9) % 12) + 2) / 5)
  return era * 146097 + year_in_era * 365 + math.floor(year_in_era / 4) - math.floor(year_in_era / 100)
    + in_year - 719468
end

-- Name, start and end (seconds) of the calendar day or month.
local function calendar(unit)
  local days = math.floor((math.floor(now / 1000000) + VIETNAM_S) / 86400)
  if unit == 'day' then
    return 'day:' .. days, days * 86400 - VIETNAM_S, (days + 1) * 86400 - VIETNAM_S
  end
  local year, month = year_and_month(days)
  return 'month:' .. year .. '-' .. month, first_day_of(year, month) * 86400 - VIETNAM_S,
    first_day_of(year, month + 1) * 86400 - VIETNAM_S
end

local members = table_of(KEYS[1])
if members.epoch ~= ARGV[5] then return { -1, now } end
if slot >= 0 and members['s:' .. slot] ~= ARGV[3] then return { -1, now } end

local function share_of(number, quota)
  return math.floor(quota / gateways) + (number < quota % gateways and 1 or 0)
end

-- What is not to be given out here: the shares of those who are away, and the reserves of those who are not.
local function held_by_others(state)
  local away, present = 0, 0
  for name, lease in pairs(members) do
    if string.sub(name, 1, 2) == 'n:' then
      local number = tonumber(string.sub(name, 3))
      local came = tonumber(members['b:' .. number] or '-1')
      local is_coming = came > state.since
      if number == slot then
        if is_coming or tonumber(lease) < now then
          away, state.is_coming = away + share_of(number, state.quota), true
        end
      elseif tonumber(lease) < now or is_coming then
        away = away + math.max(share_of(number, state.quota), tonumber(state.reserves[tostring(number)] or '0'))
        if tonumber(lease) == 0 and not state.period then state.is_unknown = tonumber(members.born) > state.since end
      else
        present = present + tonumber(state.reserves[tostring(number)] or '0')
      end
    end
  end
  return away, present
end

local states, allowed, full_cap = {}, 1, 0
for i = 1, #KEYS - 1 - caps do
  local place, base = KEYS[1 + caps + i], 6 + 2 * caps + 4 * (i - 1)
  local state = { place = place, unit = ARGV[base + 1], quota = tonumber(ARGV[base + 2]), resets = 0, wait = 0,
    window = tonumber(ARGV[base + 3]), may_spend = ARGV[base + 4] == '1', reserves = table_of(place .. ':r') }
  if state.unit == 'day' or state.unit == 'month' then
    state.period, state.since, state.ends = calendar(state.unit)
    state.since = state.since * 1000000
    state.used = tonumber(redis.call('HGET', place, state.period) or '0')
    state.resets = state.ends * 1000000 - now
  else
    state.since = now - state.window
    local oldest = redis.call('LINDEX', place, 0)
    while oldest and tonumber(oldest) <= state.since do
      redis.call('LPOP', place)
      oldest = redis.call('LINDEX', place, 0)
    end
    state.used = redis.call('LLEN', place)
    if oldest then state.resets = tonumber(oldest) + state.window - now end
  end
  state.mine = tonumber(state.reserves[tostring(slot)] or '0')
  state.away, state.present = held_by_others(state)
  if state.is_coming then state.mine = 0 end
  local free = state.quota - state.used - state.away - state.present - state.mine
  state.spends = free < 1 and state.mine >= 1 and state.may_spend
  if state.is_unknown then
    state.wait = tonumber(members.born) + state.window - now
  elseif free < 1 and not state.spends then
    state.is_recallable = free + state.present >= 1
    local room = state.quota - state.away - state.present - state.mine
    state.wait = state.resets
    if not state.period then
      local freeing = room >= 1 and state.used >= room and redis.call('LINDEX', place, state.used - room)
      state.wait = freeing and tonumber(freeing) + state.window - now or state.window
    end
  end
  if state.wait > 0 then allowed = 0 end
  states[i] = state
end

for i = 1, caps do
  local flying = 0
  for number, count in pairs(table_of(KEYS[1 + i])) do
    if tonumber(number) ~= slot and tonumber(members['n:' .. number] or '0') >= now then
      flying = flying + tonumber(count)
    end
  end
  if flying + tonumber(ARGV[6 + 2 * i]) >= tonumber(ARGV[5 + 2 * i]) then full_cap, allowed = i, 0 end
end

local recalled = 0
local answer = { allowed, now, 0, full_cap }
for i = 1, #states do
  local state = states[i]
  if allowed == 1 then
    state.used = state.used + 1
    if state.period then
      if state.used == 1 then redis.call('DEL', state.place) end
      redis.call('HINCRBY', state.place, state.period, 1)
      redis.call('EXPIRE', state.place, math.ceil(state.ends - now / 1000000) + 86400)
    else
      -- A Lua number printed plainly loses digits beyond the fourteenth.
      redis.call('RPUSH', state.place, string.format('%.0f', now))
      redis.call('PEXPIRE', state.place, math.ceil(state.window / 1000))
      if state.used == 1 then state.resets = state.window end
    end
    local mine = state.mine - (state.spends and 1 or 0)
    local quiet = tonumber(state.reserves.recall or '0') + math.min(state.window, 60000000) < now
    if slot >= 0 and quiet and not state.is_coming and state.used * 2 <= state.quota then
      local free = state.quota - state.used - state.away - state.present - mine
      -- Half of what is free stays free: else the last to come would have to call it back at once.
      mine = math.max(mine, math.min(share_of(slot, state.quota), math.floor((free + mine) / 2)))
    end
    if mine ~= state.mine then redis.call('HSET', state.place .. ':r', slot, mine) end
    state.mine = mine
    if state.used >= state.quota and not state.period then
      state.resets = tonumber(redis.call('LINDEX', state.place, state.used - state.quota)) + state.window - now
    end
  elseif state.wait > 0 then
    state.resets = state.wait
    if state.is_recallable then
      recalled = 1
      redis.call('HSET', state.place .. ':r', 'recall', string.format('%.0f', now))
      redis.call('PUBLISH', KEYS[1] .. ':recall', state.place)
    end
  end
  answer[#answer + 1] = state.used
  answer[#answer + 1] = state.wait
  answer[#answer + 1] = state.resets
  answer[#answer + 1] = state.mine
end
if allowed == 1 and slot >= 0 then
  for i = 1, caps do
    redis.call('HSET', KEYS[1 + i], slot, tonumber(ARGV[6 + 2 * i]) + 1)
    redis.call('EXPIRE', KEYS[1 + i], 3600)
  end
end
answer[3] = recalled
return answer
