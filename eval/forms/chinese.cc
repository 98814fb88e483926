// Facts and questions in Chinese, in Chinese filler: no spaces, full-width stops.
//
// Tested by forms_test.cc.
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/makers.h"
#include "eval/forms/recall.h"

namespace kedge {
namespace {

const std::vector<FactKind>& FactKinds() {
  static const auto* const kKinds = new std::vector<FactKind>{
      {.sentence = "{s}仓库的门锁密码是{v}。",
       .question = "{s}仓库的门锁密码是多少？",
       .subjects = {"东郊", "西郊", "南山", "北港", "河口", "城东", "石桥", "新区"},
       .digits = 5},
      {.sentence = "{s}的储物柜编号是{v}。",
       .question = "{s}的储物柜编号是多少？",
       .subjects = {"王建国", "李秀英", "陈志强", "刘晓梅", "赵文博", "孙丽华", "周海涛", "吴雨桐"},
       .digits = 4},
      {.sentence = "{s}村最有名的特产是{v}。",
       .question = "{s}村最有名的特产是什么？",
       .subjects = {"杏花", "竹林", "双溪", "白石", "桃源", "枫桥", "云岭", "柳湾"},
       .values = {"蜂蜜", "豆腐", "陶瓷", "核桃", "竹篮", "剪纸", "腊肉", "蓝印花布"}},
      {.sentence = "{s}号渡轮的船长名叫{v}。",
       .question = "{s}号渡轮的船长叫什么名字？",
       .subjects = {"海燕", "长风", "金星", "白鹭", "远航", "飞鱼", "晨光", "碧波"},
       .values = {"欧阳明", "司马亮", "诸葛青", "上官云", "慕容杰", "夏侯安", "东方琳", "尉迟勇"}},
      {.sentence = "{s}博物馆建成于{v}年。",
       .question = "{s}博物馆建成于哪一年？",
       .subjects = {"铁路", "丝绸", "钟表", "茶叶", "航海", "玩具", "邮政", "玻璃"},
       .values = {"1907", "1913", "1926", "1934", "1948", "1957", "1969", "1972"}},
      {.sentence = "寄给{s}的包裹重{v}克。",
       .question = "寄给{s}的包裹重多少克？",
       .subjects = {"小明", "小红", "小刚", "小芳", "小军", "小燕", "小龙", "小雪"},
       .digits = 4},
      {.sentence = "{s}教授的研究对象是{v}。",
       .question = "{s}教授的研究对象是什么？",
       .subjects = {"林", "郑", "冯", "蒋", "沈", "韩", "杨", "秦"},
       .values = {"萤火虫", "候鸟", "冰川", "珊瑚", "古琴", "甲骨文", "沙尘暴", "蒲公英"}},
      {.sentence = "{s}书店的会员卡要付{v}元。",
       .question = "{s}书店的会员卡要付多少元？",
       .subjects = {"风帆", "灯塔", "旧时光", "半山", "三味", "青鸟", "方舟", "梧桐"},
       .digits = 3}};
  return *kKinds;
}

// Every sentence with every word: ordinary remarks that answer nothing. In an order that mixes them.
const std::vector<std::string>& Filler() {
  static const auto* const kFiller = [] {
    const char* const kSentences[] = {"每到周末，街上卖{w}的小摊前总是排着长队。",
                                      "天气转凉以后，人们又开始谈论{w}的事情。",
                                      "老人坐在院子里，一边喝茶一边说起从前的{w}。",
                                      "孩子们放学以后，喜欢围在一起看{w}。",
                                      "报纸上有一篇文章，讲的是{w}怎样影响人们的生活。",
                                      "邻居家新添了{w}，大家都过去看了看。",
                                      "山脚下的小路两旁，到处可以见到{w}。",
                                      "因为下雨，关于{w}的活动推迟到了下个星期。",
                                      "他在信里写了很多话，却没有提到{w}。",
                                      "市场里的人说，今年的{w}比去年要多一些。",
                                      "奶奶常说，做事要有耐心，就像照料{w}一样。",
                                      "火车慢慢开动了，窗外的{w}渐渐看不清了。",
                                      "晚饭以后，全家人坐在灯下谈起了{w}。",
                                      "学校的墙上挂着一幅画，画的是{w}。",
                                      "这几年，来这里看{w}的游客越来越多。",
                                      "清晨的薄雾里，{w}显得格外安静。",
                                      "听完那首歌，她忽然想起了家乡的{w}。",
                                      "工人们休息的时候，常常拿{w}开玩笑。"};
    const char* const kWords[] = {"风筝",   "菊花",   "旧自行车", "柿子树", "木船",   "灯笼",   "麦田",
                                  "热馄饨", "老照片", "鸽子",     "雪人",   "葡萄架", "石狮子", "皮影戏"};
    constexpr size_t kCount = std::size(kSentences) * std::size(kWords);
    auto* filler = new std::vector<std::string>;
    Random random(/*seed=*/1);
    for (size_t i : random.Order(kCount)) {
      filler->push_back(
          absl::StrReplaceAll(kSentences[i / std::size(kWords)], {{"{w}", kWords[i % std::size(kWords)]}}));
    }
    return filler;
  }();
  return *kFiller;
}

}  // namespace

std::vector<Question> MakeChinese(const TextOptions& options) {
  constexpr char kWords[] = "请阅读下面的文章。\n\n{t}\n\n请根据文章回答：{q}";
  constexpr size_t kFacts = 5;
  TextOptions chinese = options;
  chinese.filler = Filler();
  Random random(options.seed);
  const std::vector<size_t> kinds = random.Order(FactKinds().size());
  std::vector<Fact> facts;
  std::vector<Plant> plants;
  for (size_t i = 0; i < kFacts; ++i) {
    facts.push_back(DrawFacts(FactKinds()[kinds[i]], 1, &random).front());
    plants.push_back(SentencePlant(facts.back().text));
  }
  const size_t tokens = TokensForText(chinese, kWords, facts[0].question);
  const Haystack text = HideInFiller(plants, {.tokens = tokens, .gap = ""}, chinese, &random);
  std::vector<Ask> asks;
  for (size_t i = 0; i < kFacts; ++i) {
    asks.push_back({.form = "chinese",
                    .question = facts[i].question,
                    .evidence = text.facts[i],
                    .check = {.answers = {facts[i].answer}},
                    .expected = facts[i].text});
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
