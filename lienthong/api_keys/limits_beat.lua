-- Say that a gateway is alive: until its lease ends it promises not to use its share alone.
--
-- KEYS: members. ARGV: now (empty: this server's), act (look, beat, leave), name, session, epoch that it knows,
--   epoch to begin where there is none, slot that it had (-1: none), lease in microseconds since 1970, number of
--   gateways, 1 where the process is new, after how many microseconds of silence a gateway is forgotten,
--   slots that it knew to be taken.
-- Answer: now, epoch, slot (-1: all taken), then the slots that are taken.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local act, name, session, known, fresh = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[10] == '1'
local had, lease, gateways = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local function get(field) return redis.call('HGET', KEYS[1], field) end
local function put(field, value) redis.call('HSET', KEYS[1], field, value) end
local function exact(number) return string.format('%.0f', number) end
local epoch = get('epoch')

if act == 'look' then
  -- From here on nothing counts that an older session of this gateway sent.
  if epoch and epoch == known and had >= 0 then put('s:' .. had, session) end
  return { now, epoch or '', had }
end

if not epoch then
  epoch = ARGV[6]
  put('epoch', epoch)
  put('born', exact(now))
end
if known ~= '' and known ~= epoch then
  -- This server has lost what it knew: those who were here before are expected back.
  for i = 12, #ARGV do
    if not get('n:' .. ARGV[i]) then put('n:' .. ARGV[i], '0') end
  end
end

local slot = tonumber(get('w:' .. name) or '-1')
local is_known = slot >= 0
if act == 'leave' then
  if is_known then redis.call('HDEL', KEYS[1], 'n:' .. slot, 'b:' .. slot, 's:' .. slot, 'w:' .. name) end
  return { now, epoch, -1 }
end

local taken, owners = {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 2) == 'w:' then owners[flat[i + 1]] = flat[i] end
end
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 2) == 'n:' then
    local number = string.sub(flat[i], 3)
    local heard = math.max(tonumber(flat[i + 1]), tonumber(get('born')))
    if heard + tonumber(ARGV[11]) < now and tonumber(number) ~= slot then
      redis.call('HDEL', KEYS[1], 'n:' .. number, 'b:' .. number, 's:' .. number)
      if owners[number] then redis.call('HDEL', KEYS[1], owners[number]) end
    else
      taken[number] = true
    end
  end
end
if not is_known then
  if had >= 0 and not owners[tostring(had)] then
    slot = had
  else
    for number = gateways - 1, 0, -1 do
      if not taken[tostring(number)] then slot = number end
    end
  end
  if slot >= 0 then put('w:' .. name, slot) end
end
if slot >= 0 then
  -- Whoever had this slot before may have admitted alone: for one window its share stays aside.
  if fresh and is_known then put('b:' .. slot, exact(now)) end
  put('n:' .. slot, exact(math.max(lease, 1, fresh and 0 or tonumber(get('n:' .. slot) or '0'))))
  put('s:' .. slot, session)
  taken[tostring(slot)] = true
end
local answer = { now, epoch, slot }
for number in pairs(taken) do answer[#answer + 1] = tonumber(number) end
return answer
